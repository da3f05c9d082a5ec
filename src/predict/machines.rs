use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use coordinator::Trained;
use data::Dataset;
use node::{Context, Machine, NodeError};
use proto::{
    Secret,
    v1::{Evaluate, Features, Turn, order::Order},
};
use randomness::Seed;
use receiver::{Answers, ReceiverMachine, TaskData};
use scenario::{Device, JointRateRows, Scenario};
use transmitter::TransmitterMachine;

/// The machines of all nodes of a trained network, with messages passed within this process.
pub(crate) struct Machines {
    transmitters: Vec<TransmitterMachine>,
    receivers: Vec<ReceiverMachine>,
    under_way: VecDeque<Letter>,
}

/// A message between transmitter k and receiver t.
enum Letter {
    Turn(usize, usize, Turn),
    Features(usize, usize, Features),
}

impl Machines {
    /// The networks of a checkpoint, over rows that act as the data set's test split.
    pub(crate) fn new(
        trained: &Trained,
        dataset: Arc<dyn Dataset>,
        passes: u64,
        device: Option<Device>,
    ) -> Result<Self, NodeError> {
        let scenario = Arc::new(evaluating(&trained.scenario, passes));
        let context = |index: usize, own: Device| {
            Ok::<_, NodeError>(Context {
                scenario: scenario.clone(),
                seed: Seed::from_number(scenario.seed),
                run: Bytes::from_static(&[0; 16]),
                incarnation: 0,
                index,
                secret: Secret::new([0; 32]),
                weights: node::WeightFiles::default(),
                device: node::resolve_device(device.unwrap_or(own))?,
                verify: false,
            })
        };
        let mut network =
            Machines { transmitters: Vec::new(), receivers: Vec::new(), under_way: VecDeque::new() };
        for (k, node) in scenario.transmitter.iter().enumerate() {
            let state = Some(trained.transmitters[k].as_slice());
            network.transmitters.push(TransmitterMachine::new(
                context(k, node.device)?,
                dataset.clone(),
                state,
            )?);
        }
        for (t, node) in scenario.receiver.iter().enumerate() {
            let task = TaskData::new(dataset.as_ref(), &node.task)?;
            let state = Some(trained.receivers[t].as_slice());
            let mut machine = ReceiverMachine::new(context(t, node.device)?, task, state)?;
            machine.tell_answers();
            network.receivers.push(machine);
        }
        Ok(network)
    }

    /// The networks of all nodes.
    pub(crate) fn networks(&self) -> impl Iterator<Item = &dib::Network> {
        let of_transmitters = self.transmitters.iter().flat_map(TransmitterMachine::networks);
        of_transmitters.chain(self.receivers.iter().flat_map(ReceiverMachine::networks))
    }

    /// Every receiver's answers for all rows, in each of `passes` passes, piece by piece. `show` is told how many rows
    /// have been answered, by all receivers in all passes.
    pub(crate) fn answers(
        mut self,
        passes: u64,
        show: &dyn Fn(usize),
    ) -> Result<Vec<Vec<Answers>>, NodeError> {
        let mut rows = 0;
        let order = Order::Evaluate(Evaluate { passes, validation: false });
        let mut answers = vec![Vec::new(); self.receivers.len()];
        for k in 0..self.transmitters.len() {
            self.transmit(k, transmitter::Input::Order(order.clone()))?;
        }
        for (t, answers) in answers.iter_mut().enumerate() {
            self.receive(t, receiver::Input::Order(order.clone()), answers)?;
        }
        while let Some(letter) = self.under_way.pop_front() {
            match letter {
                Letter::Turn(k, t, turn) => self.transmit(k, transmitter::Input::Turn(t, turn))?,
                Letter::Features(k, t, features) => {
                    let before = answers[t].len();
                    self.receive(t, receiver::Input::Features(k, features), &mut answers[t])?;
                    rows += answers[t][before..].iter().map(|answers| answers.rows.len()).sum::<usize>();
                    show(rows);
                }
            }
        }
        Ok(answers)
    }

    fn transmit(&mut self, k: usize, input: transmitter::Input) -> Result<(), NodeError> {
        let under_way = &mut self.under_way;
        self.transmitters[k].handle(input, &mut |output| {
            if let transmitter::Output::Features(t, features) = output {
                under_way.push_back(Letter::Features(k, t, features));
            }
        })
    }

    fn receive(
        &mut self,
        t: usize,
        input: receiver::Input,
        answers: &mut Vec<Answers>,
    ) -> Result<(), NodeError> {
        let under_way = &mut self.under_way;
        // Incomplete pieces will be completed: here, messages are late only by the draws of an emulated link.
        self.receivers[t].handle(input, &mut |output| match output {
            receiver::Output::Turn(k, turn) => under_way.push_back(Letter::Turn(k, t, turn)),
            receiver::Output::Answers(own) => answers.push(own),
            _ => {}
        })
    }
}

/// The scenario without the large-sample rate, which is not needed here, and without what an evaluation does to sensors
/// on purpose: rows are taken as they were observed.
fn evaluating(scenario: &Scenario, passes: u64) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.evaluation.passes = passes;
    scenario.evaluation.joint_rate_samples = 2;
    scenario.evaluation.joint_rate_rows = JointRateRows::Test;
    scenario.evaluation.off = Vec::new();
    (scenario.evaluation.sensor_noise, scenario.evaluation.blur) = (0.0, 0.0);
    scenario.evaluation.stale = 0;
    scenario
}
