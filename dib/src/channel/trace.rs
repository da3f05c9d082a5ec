//! Gains that come from elsewhere: of a ray tracer, or of a measurement.

/// The gains h of all links at some times, which are played one after the other and then again from the first.
#[derive(Clone, PartialEq)]
pub struct GainTrace {
    transmitters: usize,
    receivers: usize,
    /// By time, then transmitter, then receiver: real and imaginary part.
    gains: Vec<[f64; 2]>,
}

impl GainTrace {
    /// The gains of a run with so many transmitters and receivers, from those of [times, transmitters, receivers], row
    /// by row.
    ///
    /// # Errors
    /// In one line, what is wrong with the shape or with which gain.
    pub fn new(
        shape: &[usize],
        gains: Vec<[f64; 2]>,
        (transmitters, receivers): (usize, usize),
    ) -> Result<Self, String> {
        let fits = matches!(shape, &[times, k, t] if times > 0 && k == transmitters && t == receivers)
            && gains.len() == shape.iter().product::<usize>();
        if !fits {
            return Err(format!(
                "has the shape {shape:?}; it must be [times, {transmitters}, {receivers}], times x transmitters x receivers"
            ));
        }
        let is_odd = |[re, im]: &[f64; 2]| !(re.is_finite() && im.is_finite());
        if let Some(at) = gains.iter().position(is_odd) {
            let (pair, links) = (at % (transmitters * receivers), transmitters * receivers);
            let [re, im] = gains[at];
            return Err(format!(
                "holds {re} + {im}j at time {} from transmitter {} to receiver {}: gains must be finite",
                at / links,
                pair / receivers,
                pair % receivers
            ));
        }
        Ok(GainTrace { transmitters, receivers, gains })
    }

    /// h of a link at a time, counted from the trace's first.
    pub fn gain(&self, time: u64, transmitter: usize, receiver: usize) -> [f64; 2] {
        let links = self.transmitters * self.receivers;
        let times = (self.gains.len() / links) as u64;
        self.gains[(time % times) as usize * links + transmitter * self.receivers + receiver]
    }
}

impl std::fmt::Debug for GainTrace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let times = self.gains.len() / (self.transmitters * self.receivers);
        write!(formatter, "GainTrace({times} x {} x {})", self.transmitters, self.receivers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_played_by_time_transmitter_and_receiver_and_then_again() {
        let gains: Vec<[f64; 2]> = (0..12).map(|at| [f64::from(at), 0.0]).collect();
        let trace = GainTrace::new(&[2, 3, 2], gains, (3, 2)).unwrap();
        assert_eq!(trace.gain(0, 2, 1), [5.0, 0.0]);
        assert_eq!(trace.gain(1, 0, 1), [7.0, 0.0]);
        assert_eq!(trace.gain(5, 0, 1), trace.gain(1, 0, 1));
    }

    #[test]
    fn a_wrong_shape_and_a_gain_without_an_end_are_named() {
        let of = |shape: &[usize], gains: Vec<[f64; 2]>| GainTrace::new(shape, gains, (1, 2)).unwrap_err();
        assert!(of(&[2, 2, 1], vec![[0.0; 2]; 4]).contains("must be [times, 1, 2]"));
        assert!(of(&[2, 2], vec![[0.0; 2]; 4]).contains("has the shape [2, 2]"));
        assert!(of(&[0, 1, 2], Vec::new()).contains("has the shape [0, 1, 2]"));
        let odd = of(&[1, 1, 2], vec![[0.0; 2], [1.0, f64::INFINITY]]);
        assert!(odd.contains("1 + infj at time 0 from transmitter 0 to receiver 1"), "{odd}");
    }
}
