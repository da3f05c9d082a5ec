use candle_core::{Device, Tensor};
use dib::{Decision, Draw, Error, Judged, Policy, SelectorNode, selection_stream};
use randomness::Seed;
use scenario::Scenario;

use crate::{
    AirTime, Context, NodeError, described::own_policy::own_policy, selection::sight::strengths_known,
};

/// A policy of a user's program at one node, as runs call it: what it gives is checked.
pub struct OwnPolicy {
    /// In scenarios.
    name: String,
    node: SelectorNode,
    items: usize,
    limit: usize,
    policy: Box<dyn Policy>,
    /// How many numbers its state has.
    numbers: usize,
}

impl OwnPolicy {
    /// The policy of a node; none where selectors learn, or nothing is selected.
    ///
    /// # Errors
    ///
    /// If this program has no such policy, or the policy refuses its keys.
    pub fn of_node(context: &Context, node: SelectorNode) -> Result<Option<Self>, NodeError> {
        Ok(own_policy(&context.scenario, node)?)
    }

    /// A policy that has just been made, for so many items, of which it may choose up to `limit`.
    pub(crate) fn new(
        name: &str,
        node: SelectorNode,
        (items, limit): (usize, usize),
        policy: Box<dyn Policy>,
    ) -> dib::Result<Self> {
        let numbers = policy.state().len();
        let own = OwnPolicy { name: name.to_owned(), node, items, limit, policy, numbers };
        own.state()?;
        Ok(own)
    }

    /// What it chooses for receiver t at a tick of training, or at the [moment](Context::selection_moment) of an
    /// evaluation's draws; `time` is when it looks at the strengths of links.
    ///
    /// # Errors
    ///
    /// If the policy fails, or chooses what it may not choose.
    pub fn choose(
        &self,
        (scenario, seed): (&Scenario, Seed),
        time: AirTime,
        moment: u64,
        t: usize,
    ) -> dib::Result<Draw> {
        let kind = crate::common_randomness(scenario.train.common_randomness);
        let u = kind.draw(seed, time.phase, self.node, moment, scenario.network.feature_dim);
        let strengths_db = strengths_known((scenario, seed), self.node, t, time);
        let decision = Decision {
            phase: time.phase,
            tick: moment,
            receiver: t,
            items: self.items,
            limit: self.limit,
            u: &u,
            strengths_db: &strengths_db,
        };
        let mut stream = selection_stream(seed, time.phase, self.node, t, moment);
        let items = self.policy.choose(&decision, &mut stream).map_err(|error| self.failure(&error))?;
        match problem(&items, self.items, self.limit, moment) {
            Some(problem) => Err(self.misdeed(&problem)),
            None => Ok(Draw { items }),
        }
    }

    /// Learns from a round's choices, in order; from none it learns nothing.
    ///
    /// # Errors
    ///
    /// If the policy fails, or has a state that it may not have.
    pub fn learn(&mut self, round: &[Judged<'_>]) -> dib::Result<()> {
        if round.is_empty() {
            return Ok(());
        }
        self.policy.learn(round).map_err(|error| self.failure(&error))?;
        self.state().map(drop)
    }

    /// The tensors that a checkpoint keeps: its state, if it has one.
    ///
    /// # Errors
    ///
    /// If the policy has a state that it may not have.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>, NodeError> {
        let state = self.state()?;
        if state.is_empty() {
            return Ok(Vec::new());
        }
        let count = state.len();
        Ok(vec![(self.tensor(), Tensor::from_vec(state, count, &Device::Cpu)?)])
    }

    /// Takes its state out of a node's.
    ///
    /// # Errors
    ///
    /// If it is not there, has another number of values, or is not what the policy can take back.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), NodeError> {
        if self.numbers == 0 {
            return Ok(());
        }
        let (name, numbers) = (self.tensor(), self.numbers);
        let tensors = crate::unpack_state(state, &Device::Cpu)?;
        let Some(tensor) = tensors.get(&name) else {
            let line =
                format!("the checkpoint has no tensor \"{name}\" of the policy \"{}\"'s state", self.name);
            return Err(NodeError::Input(line));
        };
        let kept = tensor.to_vec1::<f64>().ok().filter(|kept| kept.len() == numbers);
        let Some(kept) = kept.filter(|kept| kept.iter().all(|number| number.is_finite())) else {
            let policy = &self.name;
            return Err(NodeError::Input(format!(
                "the checkpoint's tensor \"{name}\" is not the {numbers} finite numbers of the policy \"{policy}\"'s state"
            )));
        };
        Ok(self.take_back(&kept)?)
    }

    fn take_back(&mut self, kept: &[f64]) -> dib::Result<()> {
        self.policy.restore(kept).map_err(|error| self.failure(&error))?;
        let same = self.state()?.iter().zip(kept).all(|(number, kept)| number.to_bits() == kept.to_bits());
        if same { Ok(()) } else { Err(self.misdeed("has another state than the one that it was given back")) }
    }

    /// Libraries beside this program by which it chooses and learns.
    pub(crate) fn libraries(&self) -> Vec<String> {
        self.policy.libraries()
    }

    /// Lets it choose, learn, and give its state to another policy of the same node. Both are of no use afterwards.
    pub(crate) fn try_out(&mut self, other: &mut Self, scenario: &Scenario, seed: Seed) -> dib::Result<()> {
        let t = match self.node {
            SelectorNode::Receiver(t) => t,
            SelectorNode::Transmitter(_) => 0,
        };
        if self.numbers != other.numbers {
            return Err(self.misdeed("has another number of values in its state when it is made again"));
        }
        if self.state()? != other.state()? {
            return Err(self.misdeed("begins with another state when it is made again: draw nothing for it"));
        }
        let time = AirTime::of_training(0);
        let chosen = self.choose((scenario, seed), time, 0, t)?;
        if self.choose((scenario, seed), time, 0, t)? != chosen {
            return Err(self.misdeed(
                "chooses otherwise at a second call for the same tick: draw from the stream, and from nothing else",
            ));
        }
        self.learn(&[Judged { tick: 0, receiver: t, items: &chosen.items, cost: 1.0 }])?;
        other.take_back(&self.state()?)?;
        if other.choose((scenario, seed), time.later(1), 1, t)?
            != self.choose((scenario, seed), time.later(1), 1, t)?
        {
            return Err(self.misdeed(
                "chooses otherwise after it was given back its state: what it learns belongs there",
            ));
        }
        Ok(())
    }

    /// Its state, checked.
    fn state(&self) -> dib::Result<Vec<f64>> {
        let state = self.policy.state();
        if state.len() != self.numbers {
            let (had, has) = (self.numbers, state.len());
            return Err(self.misdeed(&format!(
                "has {has} numbers in its state where it had {had}: always give as many"
            )));
        }
        match state.iter().position(|number| !number.is_finite()) {
            Some(at) => Err(self
                .misdeed(&format!("has {} as number {at} of its state: numbers must be finite", state[at]))),
            None => Ok(state),
        }
    }

    /// The name of its tensor in a state.
    fn tensor(&self) -> String {
        match self.node {
            SelectorNode::Receiver(t) => format!("receiver{t}/policy"),
            SelectorNode::Transmitter(k) => format!("transmitter{k}/policy"),
        }
    }

    /// The error for a failure that the policy tells in a line of its own.
    fn failure(&self, error: &Error) -> Error {
        self.misdeed(&format!("fails: {error}"))
    }

    /// The error for what no policy may do.
    fn misdeed(&self, what: &str) -> Error {
        let node = match self.node {
            SelectorNode::Receiver(t) => format!("receiver {t}"),
            SelectorNode::Transmitter(k) => format!("transmitter {k}"),
        };
        Error::Own(format!("the policy \"{}\" of {node} {what}", self.name))
    }
}

/// What is wrong with a choice of up to `limit` of `items` items.
fn problem(chosen: &[usize], items: usize, limit: usize, tick: u64) -> Option<String> {
    if chosen.is_empty() || chosen.len() > limit {
        return Some(format!("chooses {} items at tick {tick}: it must be 1 to {limit}", chosen.len()));
    }
    let mut seen = vec![false; items];
    for &item in chosen {
        match seen.get_mut(item) {
            None => {
                return Some(format!(
                    "chooses item {item} at tick {tick}: there are {items}, numbered from 0"
                ));
            }
            Some(true) => return Some(format!("chooses item {item} twice at tick {tick}")),
            Some(seen) => *seen = true,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use dib::{Phase, Result};
    use randomness::Stream;

    use super::*;
    use crate::{described::own_policy, pack_state};

    /// Sums of costs by item; does one thing that no policy may do.
    struct Faulty {
        fault: String,
        limit: usize,
        sums: Vec<f64>,
    }

    impl Policy for Faulty {
        fn choose(&self, decision: &Decision<'_>, stream: &mut Stream) -> Result<Vec<usize>> {
            let first = stream.below(decision.items as u64) as usize;
            let mut items: Vec<usize> =
                (0..self.limit).map(|place| (first + place) % decision.items).collect();
            match self.fault.as_str() {
                "many" => items = (0..decision.items).collect(),
                "nothing" => items.clear(),
                "twice" => items = vec![1, 1],
                "beyond" => items = vec![3],
                "fails" => return Err(Error::Own("no idea".into())),
                "forgets" if decision.tick == 1 => items = vec![usize::from(self.sums[3] != 0.0)],
                _ => {}
            }
            Ok(items)
        }

        fn learn(&mut self, round: &[Judged<'_>]) -> Result<()> {
            for judged in round {
                judged.items.iter().for_each(|&item| self.sums[item] += judged.cost);
            }
            match self.fault.as_str() {
                "infinite" => self.sums[1] = f64::INFINITY,
                "grows" => self.sums.push(0.0),
                "forgets" => self.sums[3] = 1.0,
                _ => {}
            }
            Ok(())
        }

        fn state(&self) -> Vec<f64> {
            let kept = if self.fault == "forgets" { 3 } else { self.sums.len() };
            self.sums[..kept].to_vec()
        }

        fn restore(&mut self, state: &[f64]) -> Result<()> {
            if self.fault != "keeps" {
                self.sums[..state.len()].copy_from_slice(state);
            }
            Ok(())
        }
    }

    /// Three transmitters, of which the receiver may request two.
    fn scenario(parameters: &str) -> Scenario {
        let transmitters = "[[transmitter]]\nmodalities = [\"fft\", \"mel\", \"noise-1\"]\n".repeat(3);
        let text = format!(
            "network.feature_dim = 4\nnetwork.transmitter_limit = 2\n\
             train = {{ selection = \"faulty\", selection_parameters = {{ {parameters} }} }}\n\
             {transmitters}[[receiver]]\ntask = \"digit\"\n"
        );
        Scenario::parse(&text, "test", &[]).unwrap()
    }

    fn build(wanted: &own_policy::WantedPolicy) -> std::result::Result<Box<dyn Policy>, String> {
        assert_eq!((wanted.items, wanted.limit, wanted.receivers), (3, 2, 1));
        static MADE: AtomicU32 = AtomicU32::new(0);
        let fault: String = wanted.key("fault")?.unwrap_or_default();
        let begins = if fault == "begins" { MADE.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let sums = vec![f64::from(begins), 0.0, 0.0, 0.0];
        Ok(Box::new(Faulty { fault, limit: wanted.limit, sums }))
    }

    /// Registered once for all tests of the process.
    fn register() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| own_policy::register_policy("faulty", Arc::new(build)).unwrap());
    }

    fn made(scenario: &Scenario) -> OwnPolicy {
        own_policy::own_policy(scenario, SelectorNode::Receiver(0)).unwrap().unwrap()
    }

    #[test]
    fn what_no_policy_may_do_is_one_line_before_the_first_round() {
        register();
        let taken = own_policy::register_policy("faulty", Arc::new(build)).unwrap_err();
        assert_eq!(taken, "two kinds of policy are called \"faulty\": give one another name");
        own_policy::register_policy("learned", Arc::new(build)).unwrap_err();
        own_policy::try_policies(&scenario("")).unwrap();
        for (parameters, expected) in [
            ("fault = \"many\"", "chooses 3 items at tick 0: it must be 1 to 2"),
            ("fault = \"nothing\"", "chooses 0 items at tick 0: it must be 1 to 2"),
            ("fault = \"twice\"", "chooses item 1 twice at tick 0"),
            ("fault = \"beyond\"", "chooses item 3 at tick 0: there are 3, numbered from 0"),
            ("fault = \"fails\"", "fails: no idea"),
            ("fault = \"infinite\"", "has inf as number 1 of its state: numbers must be finite"),
            ("fault = \"grows\"", "has 5 numbers in its state where it had 4: always give as many"),
            ("fault = \"begins\"", "begins with another state when it is made again: draw nothing for it"),
            ("fault = \"keeps\"", "has another state than the one that it was given back"),
            ("fault = \"forgets\"", "chooses otherwise after it was given back its state: "),
        ] {
            let refused = own_policy::try_policies(&scenario(parameters)).unwrap_err().to_string();
            let whole = format!("scenario: train.selection: the policy \"faulty\" of receiver 0 {expected}");
            assert!(refused.starts_with(&whole) && refused.lines().count() == 1, "{refused}");
        }
        for (parameters, expected) in [
            ("fault = 3", "fault is 3: invalid type: integer `3`, expected a string"),
            ("falt = \"many\"", "falt is unknown: the kind has fault"),
        ] {
            let refused = own_policy::try_policies(&scenario(parameters)).unwrap_err().to_string();
            assert_eq!(refused, format!("scenario: train.selection_parameters: {expected}"));
        }
    }

    #[test]
    fn a_policy_that_no_program_has_is_refused_by_its_key() {
        let text = scenario("").to_toml().replace("\"faulty\"", "\"oracle\"");
        let unknown = Scenario::parse(&text, "test", &[]).unwrap();
        let line =
            "scenario: train.selection is \"oracle\", which is no policy of this program: it has `learned`";
        let refused = own_policy::own_policy(&unknown, SelectorNode::Receiver(0)).err().unwrap().to_string();
        assert!(refused.starts_with(line), "{refused}");
        assert!(crate::check_kinds(&unknown).unwrap_err().to_string().starts_with(line));
    }

    #[test]
    fn a_state_goes_through_a_checkpoint_bit_by_bit() {
        register();
        let scenario = scenario("");
        let mut learnt = made(&scenario);
        let judged = |cost: f64, items| Judged { tick: 7, receiver: 0, items, cost };
        learnt.learn(&[judged(0.1, &[0, 2]), judged(-1e-300, &[1]), judged(0.2, &[2])]).unwrap();
        assert_eq!(learnt.state().unwrap(), [0.1, -1e-300, 0.1 + 0.2, 0.0]);
        let tensors = learnt.tensors().unwrap();
        assert!(tensors.len() == 1 && crate::is_parameter(&tensors[0].0), "the fingerprint covers it");

        let mut restored = made(&scenario);
        restored.restore(&pack_state(tensors, 3).unwrap()).unwrap();
        let bits = |policy: &OwnPolicy| -> Vec<u64> {
            policy.state().unwrap().into_iter().map(f64::to_bits).collect()
        };
        assert_eq!(bits(&restored), bits(&learnt));
        let at = |policy: &OwnPolicy, tick| {
            let time = AirTime { phase: Phase::Evaluate, pass: 0, tick: 0 };
            policy.choose((&scenario, Seed::from_number(1)), time, tick, 0).unwrap()
        };
        (0..9).for_each(|tick| assert_eq!(at(&restored, tick), at(&learnt, tick)));

        let refused = |tensors: Vec<(String, Tensor)>| {
            let line = made(&scenario).restore(&pack_state(tensors, 3).unwrap()).unwrap_err().to_string();
            assert!(line.contains("receiver0/policy") && line.lines().count() == 1, "{line}");
            line
        };
        assert!(refused(Vec::new()).contains("has no tensor"));
        for numbers in [vec![1.0], vec![0.0, 0.0, f64::NAN, 0.0]] {
            let count = numbers.len();
            let tensor = Tensor::from_vec(numbers, count, &Device::Cpu).unwrap();
            assert!(
                refused(vec![("receiver0/policy".into(), tensor)]).contains("is not the 4 finite numbers")
            );
        }
    }
}
