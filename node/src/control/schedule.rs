use std::collections::VecDeque;

use proto::v1::order::Order;

/// What a node at a version does next, by the coordinator's orders.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Take part in this round.
    Round(u64),
    /// End the stretch: a closing turn is due (or expected) if the last round's gradients are still out.
    Close,
    /// Wait for the next order.
    Wait,
}

/// The coordinator's totally ordered orders received so far.
///
/// Training orders extend a horizon of granted rounds. Every other order waits until all rounds granted before it are
/// done, and is then the node's `current` order until [`Schedule::done`].
#[derive(Debug, Default)]
pub struct Schedule {
    horizon: u64,
    waiting: VecDeque<Order>,
}

impl Schedule {
    /// A schedule for a node whose parameters have taken `version` steps.
    pub fn at(version: u64) -> Self {
        Schedule { horizon: version, waiting: VecDeque::new() }
    }

    /// Adds the next order.
    pub fn push(&mut self, order: Order) {
        match (order, self.waiting.is_empty()) {
            (Order::Train(train), true) => self.horizon = self.horizon.max(train.to),
            (order, _) => self.waiting.push_back(order),
        }
    }

    /// What to do after `rounds` computed rounds.
    pub fn next(&self, rounds: u64) -> Next {
        if rounds < self.horizon {
            Next::Round(rounds)
        } else if self.waiting.is_empty() {
            Next::Wait
        } else {
            Next::Close
        }
    }

    /// The order to carry out at version `version`, if all earlier orders are done.
    pub fn current(&self, version: u64) -> Option<&Order> {
        self.waiting.front().filter(|_| version >= self.horizon)
    }

    /// Marks the current order as done.
    pub fn done(&mut self) {
        self.waiting.pop_front();
        while let Some(Order::Train(train)) = self.waiting.front() {
            self.horizon = self.horizon.max(train.to);
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Evaluate, SaveState, Train};

    use super::*;

    fn train(to: u64) -> Order {
        Order::Train(Train { to })
    }

    #[test]
    fn rounds_go_on_as_the_horizon_grows() {
        let mut schedule = Schedule::at(0);
        assert_eq!(schedule.next(0), Next::Wait);
        schedule.push(train(2));
        assert_eq!(schedule.next(1), Next::Round(1));
        assert_eq!(schedule.next(2), Next::Wait);
        schedule.push(train(3));
        assert_eq!(schedule.next(2), Next::Round(2));
    }

    #[test]
    fn an_order_closes_the_stretch_and_holds_back_what_follows() {
        let mut schedule = Schedule::at(0);
        let save = Order::Save(SaveState { version: 2 });
        for order in [
            train(2),
            save.clone(),
            Order::Evaluate(Evaluate { passes: 1, validation: false }),
            train(4),
            train(5),
        ] {
            schedule.push(order);
        }
        assert_eq!(schedule.next(1), Next::Round(1));
        assert_eq!(schedule.next(2), Next::Close);
        assert_eq!(schedule.current(1), None);
        assert_eq!(schedule.current(2), Some(&save));
        schedule.done();
        assert_eq!(schedule.next(2), Next::Close);
        assert_eq!(schedule.current(2), Some(&Order::Evaluate(Evaluate { passes: 1, validation: false })));
        schedule.done();
        assert_eq!(schedule.next(2), Next::Round(2));
        assert_eq!(schedule.next(5), Next::Wait);
    }
}
