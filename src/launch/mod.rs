//! Starting runs elsewhere than as processes of this command: claims on folders, and the engines that start jobs.

pub(crate) mod ask;
pub(crate) mod claim;
mod options;
pub(crate) mod slurm;
pub(crate) mod whole;
pub(crate) mod yaml;

pub(crate) use self::{
    claim::{Claim, Claims, Taken},
    options::{Engine, EngineOptions, Needs},
};
