//! A caller without the join token is refused with that reason, for any call.

#[allow(dead_code, reason = "every test uses a part of it")]
mod support;

use pom2dib_link::{Identity, Name, Security};
use support::{Authority, dial_once, listen, refused, who_am_i, with_token};

#[tokio::test]
async fn only_callers_with_the_token_are_admitted() {
    let right = with_token("a-word-that-is-long-enough");
    let address = listen(&right).await;

    let line = refused(address, &Security::default()).await;
    assert!(
        line.contains(
            "refuses this node: a join token is asked for: give the coordinator's with --token-file"
        ),
        "{line}"
    );
    let line = refused(address, &with_token("a-word-that-is-wrong-enough")).await;
    assert!(line.contains("refuses this node: the join token is not the coordinator's"), "{line}");

    let channel = dial_once(address, &right).await.unwrap();
    assert_eq!(who_am_i(channel).await, format!("{:?}", Identity::Token));
}

#[tokio::test]
async fn a_token_that_is_not_required_does_no_harm() {
    let address = listen(&Security::default()).await;
    let channel = dial_once(address, &with_token("a-word-that-is-long-enough")).await.unwrap();
    assert_eq!(who_am_i(channel).await, format!("{:?}", Identity::Nobody));
}

#[tokio::test]
async fn where_both_are_asked_for_a_certificate_is_not_enough() {
    let authority = Authority::new("a");
    let token = pom2dib_link::Token::new("a-word-that-is-long-enough", "word".as_ref()).unwrap();
    let address = listen(&authority.security(Name::Coordinator).with_token(token.clone())).await;
    let receiver = authority.security(Name::Receiver(0));

    assert!(refused(address, &receiver).await.contains("a join token is asked for"));

    let channel = dial_once(address, &receiver.with_token(token)).await.unwrap();
    assert_eq!(who_am_i(channel).await, format!("{:?}", Identity::Peer(Name::Receiver(0))));
}
