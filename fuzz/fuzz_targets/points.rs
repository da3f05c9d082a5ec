//! A point cloud. The first byte says of which sensor.
#![no_main]

use data::mmfi::{LIDAR_COLUMNS, RADAR_COLUMNS, parse_points};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let Some((kind, content)) = content.split_first() else { return };
    let columns = if kind & 1 == 0 { LIDAR_COLUMNS } else { RADAR_COLUMNS };
    if let Ok(points) = parse_points(content, columns) {
        assert_eq!(points.len(), content.len() / 8);
    }
});
