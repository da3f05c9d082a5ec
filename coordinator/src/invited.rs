//! Which certificate may speak for which node: a caller may act only as the node that its certificate names.

use link::{Identity, Name};
use node::Role;
use proto::v1::{Action, Join};
use tonic::Status;

use crate::members::Member;

/// Checks that a caller may join under the index it asks for. Without an index it gets that of its certificate.
pub(crate) fn join(mut join: Join, caller: Identity) -> Result<Join, Status> {
    let own = match caller {
        Identity::Nobody | Identity::Token => return Ok(join),
        Identity::Peer(own) => own,
    };
    let index = match own {
        Name::Transmitter(index) | Name::Receiver(index) => *join.index.get_or_insert(index),
        Name::Coordinator | Name::Admin => {
            let message = format!("the caller's certificate is made out to {own}: that is no node");
            return Err(Status::permission_denied(message));
        }
    };
    let wanted = match join.role() {
        proto::v1::Role::Transmitter => Name::Transmitter(index),
        proto::v1::Role::Receiver => Name::Receiver(index),
        // Refused later for having no role.
        proto::v1::Role::Unspecified => return Ok(join),
    };
    caller.check(wanted).map_err(Status::permission_denied)?;
    Ok(join)
}

/// Checks that a caller may write or read the state of a node: only its own.
pub(crate) fn state(member: Member, caller: Identity) -> Result<(), Status> {
    let index = member.index as u32;
    let name = match member.role {
        Role::Transmitter => Name::Transmitter(index),
        Role::Receiver => Name::Receiver(index),
    };
    caller.check(name).map_err(|reason| {
        link::log_refusal("a caller", "a state's stream", &reason);
        Status::permission_denied(reason)
    })
}

/// Checks that a caller may manage the run: with certificates, any member may ask for the status, and only an
/// administrator may change the run.
pub(crate) fn manage(action: Action, caller: Identity) -> Result<(), Status> {
    match caller {
        Identity::Peer(name) if name != Name::Admin && action != Action::Status => {
            Err(Status::permission_denied(format!(
                "the caller's certificate is made out to {name}: only the administrator's may do that"
            )))
        }
        _ => Ok(()),
    }
}

/// Checks that a caller may send a service samples, and gives the transmitter for which it may observe: with
/// certificates, only the one that its own is made out to; none: all, as the administrator may.
pub(crate) fn observe(caller: Identity) -> Result<Option<usize>, Status> {
    match caller {
        Identity::Nobody | Identity::Token | Identity::Peer(Name::Admin) => Ok(None),
        Identity::Peer(Name::Transmitter(k)) => Ok(Some(k as usize)),
        Identity::Peer(name) => Err(Status::permission_denied(format!(
            "the caller's certificate is made out to {name}: only a transmitter's or the administrator's may send samples"
        ))),
    }
}

/// Checks that a caller may follow a service's answers, and gives the receiver whose it may: with certificates, only
/// the one that its own is made out to; none: all, as the administrator may.
pub(crate) fn answers(caller: Identity) -> Result<Option<usize>, Status> {
    match caller {
        Identity::Nobody | Identity::Token | Identity::Peer(Name::Admin) => Ok(None),
        Identity::Peer(Name::Receiver(t)) => Ok(Some(t as usize)),
        Identity::Peer(name) => Err(Status::permission_denied(format!(
            "the caller's certificate is made out to {name}: only a receiver's or the administrator's may follow answers"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::Role::{Receiver, Transmitter, Unspecified};

    use super::*;

    fn index(role: proto::v1::Role, index: Option<u32>, caller: Identity) -> Result<Option<u32>, String> {
        let wanted = Join { role: role.into(), index, ..Join::default() };
        join(wanted, caller).map(|join| join.index).map_err(|status| status.message().into())
    }

    #[test]
    fn with_certificates_any_member_may_look_and_only_an_administrator_may_act() {
        let node = Identity::Peer(Name::Receiver(1));
        assert!(manage(Action::Status, node).is_ok());
        for action in [Action::Pause, Action::Resume, Action::Stop] {
            let refusal = manage(action, node).unwrap_err();
            assert!(refusal.message().contains("made out to receiver 1: only the administrator's"));
            for caller in [Identity::Peer(Name::Admin), Identity::Token, Identity::Nobody] {
                assert!(manage(action, caller).is_ok());
            }
        }
    }

    #[test]
    fn with_certificates_samples_come_from_transmitters_and_answers_go_to_receivers() {
        for open in [Identity::Nobody, Identity::Token, Identity::Peer(Name::Admin)] {
            assert_eq!((observe(open).unwrap(), answers(open).unwrap()), (None, None));
        }
        let (transmitter, receiver) =
            (Identity::Peer(Name::Transmitter(2)), Identity::Peer(Name::Receiver(1)));
        assert_eq!((observe(transmitter).unwrap(), answers(receiver).unwrap()), (Some(2), Some(1)));
        for refused in [observe(receiver), answers(transmitter), observe(Identity::Peer(Name::Coordinator))] {
            assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
        }
    }

    #[test]
    fn a_node_joins_as_the_one_of_its_certificate() {
        let caller = Identity::Peer(Name::Receiver(1));
        assert_eq!(index(Receiver, Some(1), caller), Ok(Some(1)));
        assert_eq!(index(Receiver, None, caller), Ok(Some(1)));
        assert!(
            index(Receiver, Some(0), caller)
                .unwrap_err()
                .contains("receiver 1: it cannot speak as receiver 0")
        );
        assert!(index(Transmitter, Some(1), caller).unwrap_err().contains("cannot speak as transmitter 1"));
        assert!(index(Transmitter, None, caller).is_err());
        for other in [Name::Admin, Name::Coordinator] {
            assert!(index(Receiver, None, Identity::Peer(other)).unwrap_err().contains("that is no node"));
        }
        assert_eq!(index(Unspecified, None, caller), Ok(Some(1)));
    }

    #[test]
    fn without_certificates_a_node_joins_as_it_says() {
        for caller in [Identity::Nobody, Identity::Token] {
            assert_eq!(index(Receiver, None, caller), Ok(None));
            assert_eq!(index(Transmitter, Some(3), caller), Ok(Some(3)));
        }
    }

    #[test]
    fn a_node_reads_and_writes_no_state_but_its_own() {
        let member = Member { role: Role::Transmitter, index: 2 };
        assert!(state(member, Identity::Peer(Name::Transmitter(2))).is_ok());
        assert!(state(member, Identity::Token).is_ok());
        for other in [Name::Transmitter(1), Name::Receiver(2), Name::Admin, Name::Coordinator] {
            let status = state(member, Identity::Peer(other)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
        }
    }
}
