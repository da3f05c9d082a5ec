//! Which node holds up a run in which all nodes send heartbeats but nothing progresses.

use std::time::Duration;

use proto::v1::{Activity, Heartbeat, NodeStatus, Role};

/// One line on each node that holds the others up: the nodes that compute or, if none does, which node waits for which.
pub(crate) fn blame(nodes: &[NodeStatus], silence: Duration) -> String {
    let seconds = silence.as_secs();
    let computing: Vec<String> = nodes
        .iter()
        .filter_map(|node| {
            let heartbeat = node.heartbeat.as_ref()?;
            let verb = match heartbeat.activity() {
                Activity::Computing => "computing",
                Activity::Preparing => "getting ready",
                Activity::Waiting => return None,
            };
            Some(format!("{} has been {verb} for {:.0} s", name(node), heartbeat.seconds))
        })
        .collect();
    if !computing.is_empty() {
        return format!("nothing has moved for {seconds} s: {}", computing.join(", "));
    }
    let waits: Vec<String> = nodes.iter().filter_map(waits_for_peers).collect();
    match waits.is_empty() {
        true => format!("nothing has moved for {seconds} s, and every node waits for orders"),
        false => format!("nothing has moved for {seconds} s: {}", waits.join("; ")),
    }
}

/// A short description of what a node is doing.
pub(crate) fn describe(node: &NodeStatus) -> String {
    let Some(heartbeat) = &node.heartbeat else {
        return if node.joined { "has joined".into() } else { "is missing".into() };
    };
    if node.silent > 3.0 {
        return format!("silent for {:.0} s", node.silent);
    }
    let seconds = heartbeat.seconds;
    match heartbeat.activity() {
        Activity::Preparing => format!("getting ready ({seconds:.0} s)"),
        Activity::Computing => format!("computing ({seconds:.1} s)"),
        Activity::Waiting if heartbeat.peers.is_empty() => format!("waits for orders ({seconds:.1} s)"),
        Activity::Waiting => format!("waits for {} ({seconds:.1} s)", peers(node, heartbeat)),
    }
}

fn waits_for_peers(node: &NodeStatus) -> Option<String> {
    let heartbeat = node.heartbeat.as_ref().filter(|heartbeat| !heartbeat.peers.is_empty())?;
    Some(format!("{} waits for {}", name(node), peers(node, heartbeat)))
}

fn peers(node: &NodeStatus, heartbeat: &Heartbeat) -> String {
    let other = match node.role() {
        Role::Transmitter => "receiver",
        _ => "transmitter",
    };
    let indices: Vec<String> = heartbeat.peers.iter().map(u32::to_string).collect();
    format!("{other} {}", indices.join(", "))
}

/// A node's name in tables and messages.
pub(crate) fn name(node: &NodeStatus) -> String {
    let role = match node.role() {
        Role::Transmitter => "transmitter",
        _ => "receiver",
    };
    format!("{role} {}", node.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(role: Role, index: u32, activity: Activity, peers: &[u32]) -> NodeStatus {
        let heartbeat = Heartbeat {
            version: 7,
            activity: activity.into(),
            peers: peers.to_vec(),
            seconds: 12.0,
            ..Heartbeat::default()
        };
        NodeStatus { role: role.into(), index, joined: true, silent: 0.2, heartbeat: Some(heartbeat) }
    }

    #[test]
    fn computing_nodes_are_blamed_before_waiting_ones() {
        let nodes = [
            node(Role::Transmitter, 0, Activity::Waiting, &[0, 1]),
            node(Role::Transmitter, 1, Activity::Computing, &[]),
            node(Role::Receiver, 0, Activity::Waiting, &[1]),
        ];
        let line = blame(&nodes, Duration::from_secs(30));
        assert_eq!(line, "nothing has moved for 30 s: transmitter 1 has been computing for 12 s");
    }

    #[test]
    fn a_message_that_was_lost_on_the_way_shows_as_two_nodes_that_wait_for_each_other() {
        let nodes = [
            node(Role::Transmitter, 0, Activity::Waiting, &[1]),
            node(Role::Receiver, 0, Activity::Waiting, &[]),
            node(Role::Receiver, 1, Activity::Waiting, &[0, 2]),
        ];
        let line = blame(&nodes, Duration::from_secs(30));
        assert!(
            line.ends_with("transmitter 0 waits for receiver 1; receiver 1 waits for transmitter 0, 2"),
            "{line}"
        );
        assert_eq!(describe(&nodes[0]), "waits for receiver 1 (12.0 s)");
        assert_eq!(describe(&nodes[1]), "waits for orders (12.0 s)");
        let silent = NodeStatus { silent: 4.4, ..nodes[0].clone() };
        assert_eq!(describe(&silent), "silent for 4 s");
    }
}
