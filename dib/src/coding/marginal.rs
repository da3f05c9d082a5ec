//! The prior of one dimension, in f64: what tables are made of.

/// A mixture of logistic distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginal {
    components: Vec<Component>,
}

/// One of its components.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Its share; those of all components need not add up to 1.
    pub weight: f64,
    /// Its mean.
    pub location: f64,
    /// Its scale: the standard deviation times sqrt(3) / pi.
    pub scale: f64,
}

impl Marginal {
    /// Of components, of which at least one has weight.
    pub fn new(mut components: Vec<Component>) -> Self {
        let sum: f64 = components.iter().map(|component| component.weight).sum();
        components.iter_mut().for_each(|component| component.weight /= sum);
        Marginal { components }
    }

    /// The mass below a value.
    pub fn below(&self, value: f64) -> f64 {
        self.sum(|Component { location, scale, .. }| sigmoid((value - location) / scale))
    }

    /// The mass above a value, to its own digits.
    pub fn above(&self, value: f64) -> f64 {
        self.sum(|Component { location, scale, .. }| sigmoid((location - value) / scale))
    }

    /// The logarithm of the density at a value.
    pub fn log_density(&self, value: f64) -> f64 {
        libm::log(self.sum(|Component { location, scale, .. }| {
            let y = (value - location) / scale;
            sigmoid(y) * sigmoid(-y) / scale
        }))
    }

    /// The scale of the narrowest component.
    pub fn narrowest(&self) -> f64 {
        self.components.iter().map(|component| component.scale).fold(f64::INFINITY, f64::min)
    }

    /// A draw from it, given two uniform ones in (0, 1).
    pub fn sample(&self, which: f64, at: f64) -> f64 {
        let mut below = 0.0;
        let chosen = self.components.iter().find(|component| {
            below += component.weight;
            which < below
        });
        let Component { location, scale, .. } = chosen.unwrap_or(&self.components[self.components.len() - 1]);
        location + scale * (libm::log(at) - libm::log(1.0 - at))
    }

    fn sum(&self, of: impl Fn(&Component) -> f64) -> f64 {
        self.components.iter().map(|component| component.weight * of(component)).sum()
    }
}

/// 1 / (1 + e^-x), without overflow.
fn sigmoid(x: f64) -> f64 {
    let decay = libm::exp(-x.abs());
    (if x < 0.0 { decay } else { 1.0 }) / (1.0 + decay)
}
