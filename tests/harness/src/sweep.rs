use serde_json::Value;

/// What every sweep of the same points must have in common, of the table that it prints as JSON: all but times and
/// folders.
pub fn table_of_sweep(sweep: &Value) -> Value {
    let mut sweep = sweep.clone();
    for rows in ["points", "over_seeds"] {
        for row in sweep[rows].as_array_mut().expect("a table has rows") {
            row["folder"].take();
            row["figures"]["seconds"].take();
        }
    }
    sweep
}
