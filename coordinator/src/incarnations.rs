//! Incarnations of a run whose checkpoints lie in a remote store, where coordinators with other folders may find them.
//! Each number is claimed by one coordinator; one that sees a higher number no longer owns the run.

use store::Store;

use crate::CoordinatorError;

/// The first part of the names of all claims.
const CLAIMS: &str = "incarnations";

/// Claims the lowest number above `before` and above every claimed number. Then removes the claims of lower numbers,
/// which are no longer needed.
pub(crate) async fn claim(store: &Store, before: u64) -> Result<u64, CoordinatorError> {
    let mut next = before.max(last(store).await?) + 1;
    let claimant = format!("process {}\n", std::process::id());
    loop {
        let is_free = store.create(&name(next), claimant.clone()).await?;
        // A claim may have been removed since, in favour of a higher one.
        let last = last(store).await?;
        if is_free && last <= next {
            break;
        }
        next = next.max(last) + 1;
    }
    for lower in claims(store).await?.into_iter().filter(|number| *number < next) {
        store.remove(&name(lower)).await?;
    }
    Ok(next)
}

/// Makes sure that no other coordinator has claimed a number after `own`.
///
/// # Errors
/// If another coordinator has: it owns the run now.
pub(crate) async fn check(store: &Store, own: u64) -> Result<(), CoordinatorError> {
    match last(store).await? {
        last if last > own => Err(CoordinatorError::Run(format!(
            "{}: another coordinator has gone on with this run (incarnation {last}; this one has {own}): it has the \
             checkpoints now, and this one ends",
            store.name_of(&name(last))
        ))),
        _ => Ok(()),
    }
}

/// The highest claimed number; 0 if there is none.
async fn last(store: &Store) -> Result<u64, CoordinatorError> {
    Ok(claims(store).await?.into_iter().max().unwrap_or(0))
}

/// All claimed numbers.
async fn claims(store: &Store) -> Result<Vec<u64>, CoordinatorError> {
    let names = store.names().await?;
    let number = |name: &String| name.split_once('/').filter(|(first, _)| *first == CLAIMS)?.1.parse().ok();
    Ok(names.iter().filter_map(number).collect())
}

fn name(number: u64) -> String {
    format!("{CLAIMS}/{number:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_number_is_claimed_once_and_an_overtaken_coordinator_notices() {
        let store = Store::in_memory();
        assert_eq!(claim(&store, 0).await.unwrap(), 1);
        let (one, other) = tokio::join!(claim(&store, 1), claim(&store, 1));
        let mut both = [one.unwrap(), other.unwrap()];
        both.sort_unstable();
        assert_eq!(both, [2, 3]);
        check(&store, 3).await.unwrap();
        let line = check(&store, 2).await.unwrap_err().to_string();
        assert!(
            line.contains("memory/incarnations/000003") && line.contains("another coordinator"),
            "{line}"
        );
        assert_eq!(claims(&store).await.unwrap(), [3], "lower ones are gone");
        assert_eq!(claim(&store, 1_234_567).await.unwrap(), 1_234_568);
        assert_eq!(claim(&store, 0).await.unwrap(), 1_234_569);
        assert_eq!(claims(&store).await.unwrap(), [1_234_569]);
    }
}
