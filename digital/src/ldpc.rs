//! The LDPC codes of 5G NR, TS 38.212, 5.3.2: base graphs and belief propagation are those of the crate `ldpc-toolbox`.

use std::collections::{BTreeMap, BTreeSet};

use ldpc_toolbox::{
    codes::nr5g::{BaseGraph, LiftingSize},
    decoder::{arithmetic::Minstarapproxi8, horizontal_layered::Decoder},
    sparse::SparseMatrix,
};

/// Of belief propagation. Most blocks that can be decoded need fewer.
const MOST_ITERATIONS: usize = 20;
/// Rows of a base graph that are coded together; each of the others has a parity bit of its own.
const CORE: usize = 4;
/// That a bit is 0, for sure.
const CERTAIN: f64 = 1e3;
/// How many decoders are kept. All that one run needs are fewer, or else nearly as many as its blocks.
const KEPT: usize = 64;

/// A base graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Graph {
    /// For long blocks and high rates.
    One,
    /// For others.
    Two,
}

impl Graph {
    /// Columns of information.
    pub(crate) fn information(self) -> usize {
        match self {
            Graph::One => 22,
            Graph::Two => 10,
        }
    }

    /// Rows, and so columns of parity.
    pub(crate) fn rows(self) -> usize {
        match self {
            Graph::One => 46,
            Graph::Two => 42,
        }
    }

    /// Bits of the longest code block.
    pub(crate) fn most(self) -> usize {
        match self {
            Graph::One => 8448,
            Graph::Two => 3840,
        }
    }

    /// Over how many columns of information a transport block's bits, with its check, are spread.
    pub(crate) fn columns_for(self, bits: usize) -> usize {
        match (self, bits) {
            (Graph::One, _) => 22,
            (Graph::Two, 641..) => 10,
            (Graph::Two, 561..) => 9,
            (Graph::Two, 193..) => 8,
            (Graph::Two, _) => 6,
        }
    }

    fn base(self) -> BaseGraph {
        match self {
            Graph::One => BaseGraph::BG1,
            Graph::Two => BaseGraph::BG2,
        }
    }
}

/// All factors by which a base graph can be lifted.
pub(crate) fn liftings() -> impl Iterator<Item = usize> {
    LIFTINGS.into_iter().map(usize::from)
}

/// Codes and decoders that were needed before.
#[derive(Default)]
pub(crate) struct Codes {
    checks: BTreeMap<(Graph, usize), SparseMatrix>,
    decoders: BTreeMap<(Graph, usize, usize), Decoder<Minstarapproxi8>>,
}

impl Codes {
    /// The codeword of a code block's information.
    pub(crate) fn encode(&mut self, graph: Graph, lifting: usize, information: &[u8]) -> Vec<u8> {
        let checks = self.checks(graph, lifting);
        let mut word = information.to_vec();
        word.resize(checks.num_cols(), 0);
        let start = information.len();
        let first = start..start + lifting;
        // In the sum of the core's rows all parity cancels but one bit of its first column.
        for row in 0..lifting {
            let of_core = || (0..CORE).flat_map(|block| checks.iter_row(block * lifting + row));
            let mut left = BTreeSet::new();
            for &place in of_core().filter(|place| first.contains(place)) {
                if !left.remove(&place) {
                    left.insert(place);
                }
            }
            let sum = parity(information, of_core());
            left.into_iter().for_each(|place| word[place] = sum);
        }
        // Then every row but the core's last has one bit that is not known yet, in a column of its own.
        for block in (0..graph.rows()).filter(|block| *block != CORE - 1) {
            let column = if block < CORE { block + 1 } else { block };
            for row in 0..lifting {
                word[start + column * lifting + row] = parity(&word, checks.iter_row(block * lifting + row));
            }
        }
        word
    }

    /// What belief propagation makes of the ratios of a codeword's first bits, log P(0) / P(1), of which those of
    /// `filler` are zeros: the bits of the columns of information. Of the base graph only the rows are needed whose
    /// parity is known.
    pub(crate) fn decode(
        &mut self,
        graph: Graph,
        lifting: usize,
        mut llrs: Vec<f64>,
        filler: std::ops::Range<usize>,
    ) -> Vec<u8> {
        let last = llrs.iter().rposition(|llr| *llr != 0.0).map_or(0, |place| place + 1);
        let rows = last.div_ceil(lifting).saturating_sub(graph.information()).max(CORE);
        llrs.truncate((graph.information() + rows) * lifting);
        llrs[filler].fill(CERTAIN);
        let information = graph.information() * lifting;
        let decoder = self.decoder(graph, lifting, rows);
        // One that has not come to an end leaves what it has, of which the check will tell that it is wrong.
        let mut word = decoder.decode(&llrs, MOST_ITERATIONS).unwrap_or_else(|failed| failed).codeword;
        word.truncate(information);
        word
    }

    fn checks(&mut self, graph: Graph, lifting: usize) -> &SparseMatrix {
        self.checks.entry((graph, lifting)).or_insert_with(|| {
            let size = LIFTINGS.into_iter().find(|size| usize::from(*size) == lifting);
            graph.base().h(size.expect("it is a factor of the standard"))
        })
    }

    /// Of the first rows of a base graph.
    fn decoder(&mut self, graph: Graph, lifting: usize, rows: usize) -> &mut Decoder<Minstarapproxi8> {
        if self.decoders.len() >= KEPT && !self.decoders.contains_key(&(graph, lifting, rows)) {
            self.decoders.clear();
        }
        self.checks(graph, lifting);
        let new = || {
            let all = &self.checks[&(graph, lifting)];
            let mut first = SparseMatrix::new(rows * lifting, (graph.information() + rows) * lifting);
            (0..rows * lifting).for_each(|row| first.insert_row(row, all.iter_row(row)));
            Decoder::new(first, Minstarapproxi8::new())
        };
        self.decoders.entry((graph, lifting, rows)).or_insert_with(new)
    }
}

/// The sum of some places' bits.
fn parity<'a>(word: &[u8], places: impl Iterator<Item = &'a usize>) -> u8 {
    places.filter_map(|place| word.get(*place)).fold(0, |sum, bit| sum ^ bit)
}

/// Table 5.3.2-1.
const LIFTINGS: [LiftingSize; 51] = [
    LiftingSize::Z2,
    LiftingSize::Z3,
    LiftingSize::Z4,
    LiftingSize::Z5,
    LiftingSize::Z6,
    LiftingSize::Z7,
    LiftingSize::Z8,
    LiftingSize::Z9,
    LiftingSize::Z10,
    LiftingSize::Z11,
    LiftingSize::Z12,
    LiftingSize::Z13,
    LiftingSize::Z14,
    LiftingSize::Z15,
    LiftingSize::Z16,
    LiftingSize::Z18,
    LiftingSize::Z20,
    LiftingSize::Z22,
    LiftingSize::Z24,
    LiftingSize::Z26,
    LiftingSize::Z28,
    LiftingSize::Z30,
    LiftingSize::Z32,
    LiftingSize::Z36,
    LiftingSize::Z40,
    LiftingSize::Z44,
    LiftingSize::Z48,
    LiftingSize::Z52,
    LiftingSize::Z56,
    LiftingSize::Z60,
    LiftingSize::Z64,
    LiftingSize::Z72,
    LiftingSize::Z80,
    LiftingSize::Z88,
    LiftingSize::Z96,
    LiftingSize::Z104,
    LiftingSize::Z112,
    LiftingSize::Z120,
    LiftingSize::Z128,
    LiftingSize::Z144,
    LiftingSize::Z160,
    LiftingSize::Z176,
    LiftingSize::Z192,
    LiftingSize::Z208,
    LiftingSize::Z224,
    LiftingSize::Z240,
    LiftingSize::Z256,
    LiftingSize::Z288,
    LiftingSize::Z320,
    LiftingSize::Z352,
    LiftingSize::Z384,
];

#[cfg(test)]
mod tests {
    use randomness::{Purpose, Seed};

    use super::*;

    #[test]
    fn every_codeword_satisfies_all_checks() {
        let mut stream = Seed::from_number(3).stream(Purpose::Test, &[], 0);
        let mut codes = Codes::default();
        for graph in [Graph::One, Graph::Two] {
            // Each of the eight sets of shifts, and the largest.
            for lifting in [2, 16, 3, 5, 7, 9, 11, 13, 15, 208, 384] {
                let bits = graph.information() * lifting;
                let information: Vec<u8> = (0..bits).map(|_| stream.below(2) as u8).collect();
                let word = codes.encode(graph, lifting, &information);
                assert_eq!(word[..bits], information);
                let checks = codes.checks(graph, lifting);
                let odd = (0..checks.num_rows()).filter(|row| parity(&word, checks.iter_row(*row)) == 1);
                assert_eq!(odd.count(), 0, "{graph:?}, {lifting}");
            }
        }
    }

    #[test]
    fn bits_that_were_not_sent_are_found() {
        let mut stream = Seed::from_number(4).stream(Purpose::Test, &[], 0);
        let mut codes = Codes::default();
        for (graph, lifting, bits) in [(Graph::One, 48, 1000), (Graph::Two, 36, 300), (Graph::Two, 7, 40)] {
            let mut information: Vec<u8> = (0..bits).map(|_| stream.below(2) as u8).collect();
            information.resize(graph.information() * lifting, 0);
            let word = codes.encode(graph, lifting, &information);
            let mut llrs: Vec<f64> = word.iter().map(|bit| 4.0 - 8.0 * f64::from(*bit)).collect();
            llrs[..2 * lifting].fill(0.0);
            llrs[3 * lifting] = -llrs[3 * lifting];
            let filler = bits..information.len();
            assert_eq!(codes.decode(graph, lifting, llrs, filler), information);
        }
    }
}
