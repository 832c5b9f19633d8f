//! One module for each experiment: `run` measures and gives its section of the report.

pub mod cold_start;
pub mod data_point;
pub mod environments;
pub mod expiry;
pub mod generator;
pub mod hit_path;
pub mod memory;
pub mod popularity;
pub mod stampede;
pub mod warm_up;
