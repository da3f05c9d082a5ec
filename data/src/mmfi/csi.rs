//! WiFi channel state: the amplitudes of a `.mat` file, scaled as the data set's toolbox does it.

use super::{
    crop::{Crop, Run},
    mat::parse_mat,
};

/// Antennas, subcarriers and packets of a frame.
pub const CSI_SHAPE: [usize; 3] = [3, 114, 10];

/// What is kept of them.
pub(crate) const CSI_KEPT: [usize; 3] = [3, 90, 10];

/// The array that is read; `CSIphase` beside it is not.
const NAME: &str = "CSIamp";

/// Reads a frame from a whole file: all amplitudes (3, 114, 10) in C order, scaled to \[0, 1\] over the frame.
///
/// Infinite amplitudes count as missing. A packet with missing values gets the mean of its others, as in the toolbox;
/// where the toolbox would yield NaN (a packet without any value, a constant frame), a packet gets the frame's mean,
/// and a constant frame is 0.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_csi(content: &[u8]) -> Result<Vec<f32>, String> {
    let array = parse_mat(content, NAME)?;
    if array.shape != CSI_SHAPE {
        return Err(format!("holds {NAME} of shape {:?}; it must be {CSI_SHAPE:?}", array.shape));
    }
    let mut values = array.values;
    // Sums and differences of larger ones could overflow.
    if let Some(value) = values.iter().find(|value| value.is_finite() && value.abs() > f32::MAX.into()) {
        return Err(format!("holds {value:e} in {NAME}; amplitudes must lie within float32's range"));
    }
    fill_missing(&mut values)?;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let range = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low;
    let scaled = |value: f64| if range > 0.0 { ((value - low) / range) as f32 } else { 0.0 };
    let [antennas, subcarriers, packets] = CSI_SHAPE;
    let mut frame = Vec::with_capacity(values.len());
    for antenna in 0..antennas {
        for subcarrier in 0..subcarriers {
            // MATLAB's order: the first index runs fastest.
            let place = |packet: usize| antenna + antennas * (subcarrier + subcarriers * packet);
            frame.extend((0..packets).map(|packet| scaled(values[place(packet)])));
        }
    }
    Ok(frame)
}

/// A packet is contiguous in MATLAB's order.
fn fill_missing(values: &mut [f64]) -> Result<(), String> {
    let mean = |values: &[f64]| {
        let finite = || values.iter().filter(|value| value.is_finite());
        (finite().count() > 0).then(|| finite().sum::<f64>() / finite().count() as f64)
    };
    let of_frame = mean(values).ok_or_else(|| format!("holds no finite value of {NAME}"))?;
    let packet_size = CSI_SHAPE[0] * CSI_SHAPE[1];
    for packet in values.chunks_exact_mut(packet_size) {
        let filling = mean(packet).unwrap_or(of_frame);
        packet.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = filling);
    }
    Ok(())
}

/// Copies what fits into (3, 90, 10): a run of subcarriers.
pub(crate) fn copy_kept(frame: &[f32], crop: &mut Crop, out: &mut [f32]) {
    let [antennas, subcarriers, packets] = CSI_SHAPE;
    let runs: [Run; 3] = std::array::from_fn(|axis| crop.run(CSI_SHAPE[axis], CSI_KEPT[axis]));
    let (from, length) = (runs[1].start * packets, CSI_KEPT[1] * packets);
    for antenna in 0..antennas {
        let row = &frame[antenna * subcarriers * packets + from..][..length];
        out[antenna * length..][..length].copy_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synthetic::mat_file;

    fn file(values: &[f64]) -> Vec<u8> {
        mat_file(&[(NAME, values)], CSI_SHAPE)
    }

    fn place(antenna: usize, subcarrier: usize, packet: usize) -> usize {
        antenna + 3 * (subcarrier + 114 * packet)
    }

    fn at(frame: &[f32], antenna: usize, subcarrier: usize, packet: usize) -> f32 {
        frame[(antenna * 114 + subcarrier) * 10 + packet]
    }

    /// Extremes and a value of a frame of the published data, and what the toolbox makes of it.
    #[test]
    fn a_frame_is_scaled_as_by_the_toolbox() {
        let mut values = vec![41.0; 3420];
        values[place(0, 0, 0)] = 42.36587641;
        values[place(0, 61, 4)] = 29.268567089496926;
        values[place(0, 9, 2)] = 48.836216939710084;
        let frame = parse_csi(&file(&values)).unwrap();
        assert!(
            (f64::from(at(&frame, 0, 0, 0)) - 0.6693348163080682).abs() < 1e-6,
            "{}",
            at(&frame, 0, 0, 0)
        );
        assert_eq!((at(&frame, 0, 61, 4), at(&frame, 0, 9, 2)), (0.0, 1.0));
    }

    #[test]
    fn missing_values_get_the_mean_of_their_packet() {
        let mut values: Vec<f64> = (0..3420).map(|value| f64::from(value % 342)).collect();
        values[place(1, 5, 3)] = f64::NEG_INFINITY;
        values[place(2, 0, 7)] = f64::NAN;
        let frame = parse_csi(&file(&values)).unwrap();
        let mean = |missing: usize| (341.0 * 171.0 - missing as f64) / 341.0 / 341.0;
        assert!((f64::from(at(&frame, 1, 5, 3)) - mean(place(1, 5, 0))).abs() < 1e-6);
        assert!((f64::from(at(&frame, 2, 0, 7)) - mean(place(2, 0, 0))).abs() < 1e-6);
    }

    #[test]
    fn no_frame_becomes_nan() {
        assert!(parse_csi(&file(&[7.0; 3420])).unwrap().iter().all(|&value| value == 0.0));
        let mut values: Vec<f64> = (0..3420).map(f64::from).collect();
        values[..342].fill(f64::NAN);
        let frame = parse_csi(&file(&values)).unwrap();
        assert!(frame.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!((at(&frame, 0, 0, 0) - 0.5).abs() < 1e-3);
        assert_eq!(parse_csi(&file(&[f64::NAN; 3420])).unwrap_err(), "holds no finite value of CSIamp");
        let huge: Vec<f64> = (0..3420).map(|value| if value < 9 { -1e308 } else { 1e308 }).collect();
        assert!(parse_csi(&file(&huge)).unwrap_err().contains("holds -1e308 in CSIamp"));
        let short = mat_file(&[(NAME, &[1.0; 6])], [3, 2, 1]);
        assert!(parse_csi(&short).unwrap_err().contains("shape [3, 2, 1]; it must be [3, 114, 10]"));
    }

    #[test]
    fn a_run_of_subcarriers_is_kept() {
        let frame: Vec<f32> = (0..3420).map(|value| value as f32).collect();
        let mut out = vec![0.0; 2700];
        copy_kept(&frame, &mut Crop::Centred, &mut out);
        assert_eq!((out[0], out[899], out[900]), (120.0, 1019.0, 1260.0));
    }
}
