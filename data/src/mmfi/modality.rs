//! What transmitters observe of a frame.

use super::{
    crop::{Crop, copy_rows},
    csi::{CSI_KEPT, copy_kept, parse_csi},
    depth::{DEPTH_SIDE, check_depth, parse_depth},
    npy::parse_npy,
    points::{LIDAR_COLUMNS, RADAR_COLUMNS, parse_points},
};

/// Joints of a body, in two dimensions and in three.
pub const JOINTS: usize = 17;

/// Values of a noise modality: as many as a radar frame has.
pub(crate) const NOISE_WIDTH: usize = 250;

/// The names that scenarios may use. Two transmitters with the same noise see the same noise.
pub(crate) const MODALITY_NAMES: [&str; 16] = [
    "rgb", "infra1", "infra2", "depth", "lidar", "mmwave", "wifi-csi", "noise-1", "noise-2", "noise-3",
    "noise-4", "noise-5", "noise-6", "noise-7", "noise-8", "noise-9",
];

/// The kinds of files, in the order of their names above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensor {
    /// Joints on the picture of the colour camera.
    Rgb,
    /// Joints on the picture of the left infrared camera.
    Infra1,
    /// Joints on the picture of the right infrared camera.
    Infra2,
    /// Depth pictures.
    Depth,
    /// Point clouds.
    Lidar,
    /// Points of the millimetre-wave radar.
    Radar,
    /// WiFi channel states.
    Csi,
}

impl Sensor {
    /// All of them, in order.
    pub const ALL: [Sensor; 7] = [
        Sensor::Rgb,
        Sensor::Infra1,
        Sensor::Infra2,
        Sensor::Depth,
        Sensor::Lidar,
        Sensor::Radar,
        Sensor::Csi,
    ];

    /// The sensor of a modality; none for noise.
    pub(crate) fn named(name: &str) -> Option<Sensor> {
        Sensor::ALL.into_iter().find(|sensor| sensor.name() == name)
    }

    /// The modality's name, which is also that of the folder.
    pub fn name(self) -> &'static str {
        MODALITY_NAMES[self as usize]
    }

    /// The file of a frame, counted from 0.
    pub fn file_name(self, frame: usize) -> String {
        format!("frame{:03}.{}", frame + 1, self.extension())
    }

    /// The frame of a file, counted from 0; none if a file of this sensor is not called so.
    pub(crate) fn frame(self, file_name: &str) -> Option<usize> {
        let number = file_name.strip_prefix("frame")?.strip_suffix(self.extension())?.strip_suffix('.')?;
        let frame = number.parse::<usize>().ok()?.checked_sub(1)?;
        (self.file_name(frame) == file_name).then_some(frame)
    }

    fn extension(self) -> &'static str {
        match self {
            Sensor::Rgb | Sensor::Infra1 | Sensor::Infra2 => "npy",
            Sensor::Depth => "png",
            Sensor::Lidar | Sensor::Radar => "bin",
            Sensor::Csi => "mat",
        }
    }

    /// The sizes that a frame is cut or padded to.
    pub(crate) fn shape(self) -> &'static [usize] {
        match self {
            Sensor::Rgb | Sensor::Infra1 | Sensor::Infra2 => &[JOINTS, 2],
            Sensor::Depth => &[DEPTH_SIDE, DEPTH_SIDE],
            Sensor::Lidar => &[1200, LIDAR_COLUMNS],
            Sensor::Radar => &[50, RADAR_COLUMNS],
            Sensor::Csi => &CSI_KEPT,
        }
    }

    /// The axes that networks see: an image has one channel.
    pub(crate) fn axes(self) -> Vec<usize> {
        match self {
            Sensor::Depth => [&[1], self.shape()].concat(),
            _ => self.shape().to_vec(),
        }
    }

    /// Values of a frame.
    pub(crate) fn width(self) -> usize {
        self.shape().iter().product()
    }

    /// Reads a frame from its file's content into `out`, `width` values; the error says what is wrong.
    pub(crate) fn parse(self, content: &[u8], crop: &mut Crop, out: &mut [f32]) -> Result<(), String> {
        match self {
            Sensor::Rgb | Sensor::Infra1 | Sensor::Infra2 => out.copy_from_slice(&keypoints(content)?),
            Sensor::Depth => parse_depth(content, crop, out)?,
            Sensor::Lidar | Sensor::Radar => {
                let &[rows, columns] = self.shape() else {
                    unreachable!("point clouds have rows and columns")
                };
                let points = parse_points(content, columns)?;
                copy_rows(&points, columns, crop.run(points.len() / columns, rows), out);
            }
            Sensor::Csi => copy_kept(&parse_csi(content)?, crop, out),
        }
        Ok(())
    }

    /// Reads a file to its end; the error says what is wrong.
    pub(crate) fn check(self, content: &[u8]) -> Result<(), String> {
        match self {
            Sensor::Rgb | Sensor::Infra1 | Sensor::Infra2 => keypoints(content).map(drop),
            Sensor::Depth => check_depth(content).map(drop),
            Sensor::Lidar => parse_points(content, LIDAR_COLUMNS).map(drop),
            Sensor::Radar => parse_points(content, RADAR_COLUMNS).map(drop),
            Sensor::Csi => parse_csi(content).map(drop),
        }
    }
}

/// Whether a modality is noise.
pub(crate) fn is_noise(name: &str) -> bool {
    MODALITY_NAMES[Sensor::ALL.len()..].contains(&name)
}

/// Column and row of every joint.
fn keypoints(content: &[u8]) -> Result<Vec<f32>, String> {
    let array = parse_npy(content)?;
    if array.shape != [JOINTS, 2] {
        return Err(format!("has the shape {:?}; it must be [{JOINTS}, 2]", array.shape));
    }
    Ok(array.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_the_references() {
        assert_eq!(Sensor::ALL.map(Sensor::width), [34, 34, 34, 16384, 3600, 250, 2700]);
        assert!(is_noise("noise-4") && !is_noise("rgb") && !is_noise("noise"));
        assert_eq!(Sensor::named("wifi-csi"), Some(Sensor::Csi));
    }

    #[test]
    fn frames_have_one_file_name() {
        assert_eq!(Sensor::Csi.file_name(0), "frame001.mat");
        assert_eq!(Sensor::Rgb.frame("frame297.npy"), Some(296));
        for other in
            ["frame1.npy", "frame0001.npy", "frame000.npy", "frame001.png", "frame+01.npy", "001.npy"]
        {
            assert_eq!(Sensor::Rgb.frame(other), None, "{other}");
        }
    }
}
