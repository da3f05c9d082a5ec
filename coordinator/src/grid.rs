use scenario::Scenario;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// The largest number of entries, of all receivers together, of a network whose lines say every number. Receivers take
/// few entries, so that the larger a network is, the more of its numbers are zero; of a smaller one as many may not be
/// zero that a list of places would be longer.
const MOST_WHOLE: usize = 4096;

/// Whether the lines of a network's logs leave out what is zero: all of them, whatever a round grants, so that every
/// line of a run has the same form.
pub(crate) fn is_large(scenario: &Scenario) -> bool {
    scenario.receivers() * scenario.entries_per_receiver() > MOST_WHOLE
}

/// Numbers of a line of `metrics.jsonl` or `selection.jsonl` by receiver (rows) and transmitter or entry (columns). In
/// JSON it is an array of arrays, and where the network is large a table: `shape`, the numbers of rows and columns;
/// `rest`, the number at all places that are not said; `at`, the other places, row by row from 0; `is`, the numbers
/// there.
///
/// What was read holds no more memory than its text has numbers, whatever `shape` says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid<T>(Form<T>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "neither an array of arrays nor a table of `shape`, `rest`, `at` and `is`")]
enum Form<T> {
    Whole(Vec<Vec<T>>),
    Sparse(Sparse<T>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sparse<T> {
    shape: [usize; 2],
    rest: T,
    at: Vec<usize>,
    is: Vec<T>,
}

impl<T: Copy + Default + PartialEq> Grid<T> {
    /// Rows of one length, for a line; `is_sparse` leaves out zeros, or what is none.
    pub(crate) fn new(rows: Vec<Vec<T>>, is_sparse: bool) -> Self {
        if !is_sparse {
            return Grid(Form::Whole(rows));
        }
        let shape = [rows.len(), rows.first().map_or(0, Vec::len)];
        let rest = T::default();
        let said = rows.into_iter().flatten().enumerate().filter(|(_, value)| *value != rest);
        let (at, is) = said.unzip();
        Grid(Form::Sparse(Sparse { shape, rest, at, is }))
    }

    /// Whether it has this many rows and columns.
    pub fn fits(&self, rows: usize, columns: usize) -> bool {
        match &self.0 {
            Form::Whole(of) => of.len() == rows && of.iter().all(|row| row.len() == columns),
            Form::Sparse(sparse) => sparse.shape == [rows, columns],
        }
    }

    /// Row, column and number of all places that the line says, row by row; all others are zero, or none.
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize, T)> {
        let (whole, sparse) = match &self.0 {
            Form::Whole(rows) => (Some(rows), None),
            Form::Sparse(sparse) => (None, Some(sparse)),
        };
        let rows = whole.into_iter().flatten().enumerate();
        let of_rows = rows.flat_map(|(row, values)| {
            values.iter().enumerate().map(move |(column, value)| (row, column, *value))
        });
        of_rows.chain(sparse.into_iter().flat_map(|sparse| sparse.cells()))
    }

    /// All numbers as this many rows and columns; what lies beyond them is left out.
    pub fn to_rows(&self, rows: usize, columns: usize) -> Vec<Vec<T>> {
        let mut table = vec![vec![T::default(); columns]; rows];
        for (row, column, value) in self.cells() {
            if let Some(place) = table.get_mut(row).and_then(|row| row.get_mut(column)) {
                *place = value;
            }
        }
        table
    }
}

impl<T: Copy> Sparse<T> {
    fn cells(&self) -> impl Iterator<Item = (usize, usize, T)> {
        let columns = self.shape[1];
        // Without a column there is no place.
        self.at.iter().zip(&self.is).map(move |(at, value)| (at / columns, at % columns, *value))
    }
}

impl<T: Default + PartialEq> Sparse<T> {
    /// Checks what a file said.
    fn check(&self) -> Result<(), &'static str> {
        let [rows, columns] = self.shape;
        let places = rows.checked_mul(columns).ok_or("`shape` is larger than any network's")?;
        if self.rest != T::default() {
            return Err("`rest` is neither 0 nor, of decibels, null");
        }
        if self.at.len() != self.is.len() {
            return Err("`at` and `is` are not equally long");
        }
        let is_rising = self.at.is_sorted_by(|place, next| place < next);
        match is_rising && self.at.last().is_none_or(|last| *last < places) {
            true => Ok(()),
            false => Err("`at` has places that do not rise, or lie outside of `shape`"),
        }
    }
}

impl<'de, T: Deserialize<'de> + Default + PartialEq> Deserialize<'de> for Grid<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::<T>::deserialize(deserializer)?;
        if let Form::Sparse(sparse) = &form {
            sparse.check().map_err(D::Error::custom)?;
        }
        Ok(Grid(form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[f64; 3]; 2] = [[0.0, 0.25, 0.0], [1.0, 0.0, 0.05]];

    fn rows() -> Vec<Vec<f64>> {
        ROWS.map(Vec::from).into()
    }

    fn refusal(text: &str) -> String {
        serde_json::from_str::<Grid<f64>>(text).unwrap_err().to_string()
    }

    #[test]
    fn both_forms_say_the_same_numbers() {
        let (whole, sparse) = (Grid::new(rows(), false), Grid::new(rows(), true));
        let text = [&whole, &sparse].map(|grid| serde_json::to_string(grid).unwrap());
        assert_eq!(text[0], "[[0.0,0.25,0.0],[1.0,0.0,0.05]]");
        assert_eq!(text[1], r#"{"shape":[2,3],"rest":0.0,"at":[1,3,5],"is":[0.25,1.0,0.05]}"#);
        for (grid, text) in [whole, sparse].iter().zip(text) {
            assert_eq!(&serde_json::from_str::<Grid<f64>>(&text).unwrap(), grid);
            assert_eq!(grid.to_rows(2, 3), rows());
            assert!(grid.fits(2, 3) && !grid.fits(3, 2) && !grid.fits(2, 2));
            let said: Vec<_> = grid.cells().filter(|(_, _, share)| *share > 0.0).collect();
            assert_eq!(said, [(0, 1, 0.25), (1, 0, 1.0), (1, 2, 0.05)]);
        }
        assert_eq!(Grid::new(rows(), true).to_rows(1, 2), [[0.0, 0.25]], "what lies beyond is left out");
    }

    #[test]
    fn decibels_are_left_out_where_there_are_none_and_not_where_they_are_zero() {
        let links = vec![vec![None, Some(0.0)], vec![Some(9.5), None]];
        let text = serde_json::to_string(&Grid::new(links.clone(), true)).unwrap();
        assert_eq!(text, r#"{"shape":[2,2],"rest":null,"at":[1,2],"is":[0.0,9.5]}"#);
        assert_eq!(serde_json::from_str::<Grid<Option<f64>>>(&text).unwrap().to_rows(2, 2), links);
        let nothing = Grid::<u64>::new(vec![vec![0; 3]; 2], true);
        assert_eq!(serde_json::to_string(&nothing).unwrap(), r#"{"shape":[2,3],"rest":0,"at":[],"is":[]}"#);
        assert_eq!(nothing.to_rows(2, 3), [[0; 3]; 2]);
    }

    #[test]
    fn damaged_ones_are_refused_and_take_no_memory_by_their_word() {
        for (text, line) in [
            (r#"{"shape":[2,3],"rest":0.0,"at":[6],"is":[1.0]}"#, "outside of `shape`"),
            (r#"{"shape":[2,3],"rest":0.0,"at":[1,1],"is":[1.0,1.0]}"#, "do not rise"),
            (r#"{"shape":[2,3],"rest":0.0,"at":[3,1],"is":[1.0,1.0]}"#, "do not rise"),
            (r#"{"shape":[2,3],"rest":0.0,"at":[1,2],"is":[1.0]}"#, "not equally long"),
            (r#"{"shape":[2,3],"rest":0.5,"at":[1],"is":[1.0]}"#, "`rest`"),
            (r#"{"shape":[18446744073709551615,2],"rest":0.0,"at":[],"is":[]}"#, "larger than any network's"),
            (r#"{"shape":[0,0],"rest":0.0,"at":[0],"is":[1.0]}"#, "outside of `shape`"),
            (r#"{"shape":[2],"rest":0.0,"at":[],"is":[]}"#, "neither an array of arrays nor a table"),
            (r#"{"shape":[2,3],"rest":0.0,"at":[-1],"is":[1.0]}"#, "neither an array of arrays nor a table"),
            (r#"{"shape":[2,3],"rest":0.0,"at":[1]}"#, "neither an array of arrays nor a table"),
            ("[[1.0],2.0]", "neither an array of arrays nor a table"),
            ("null", "neither an array of arrays nor a table"),
        ] {
            let said = refusal(text);
            assert!(said.contains(line), "{text}: {said}");
        }
        let huge = r#"{"shape":[4294967296,4294967295],"rest":0.0,"at":[],"is":[]}"#;
        let huge: Grid<f64> = serde_json::from_str(huge).unwrap();
        assert!(!huge.fits(2, 3) && huge.cells().next().is_none());
    }
}
