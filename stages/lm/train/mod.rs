//! Training: a model's weights as plain arrays that move against their gradients.
//!
//! | to find | look in |
//! | --- | --- |
//! | the loop over steps, and what resumes it | `course.rs` |
//! | one step: forward, loss, backward, optimiser | `learner.rs` |
//! | what is noted of it | `diary.rs`, `gauge.rs`, `reading.rs` |
//! | … of what flows through it, and of where heads look | `stream.rs`, `routing.rs` |
//! | what a step reads | `texts.rs` |
//! | the loss and its gradient | `loss.rs` |
//! | the optimiser and its learning rate | `adam.rs`, `schedule.rs` |
//! | what stays as it is | `freeze.rs` |
//!
//! Weights and their moments live on the host, so that a step leaves the same bits on every machine whose products round
//! alike, and a checkpoint is those arrays.

pub mod adam;
pub mod course;
pub mod diary;
pub mod freeze;
pub mod gauge;
pub mod learner;
pub mod loss;
pub mod reading;
pub mod routing;
pub mod schedule;
pub mod stream;
pub mod texts;
