//! Record + artifacts → what people read: the folder of results, and exports under human names.

mod export;
mod layout;
mod results;

pub use export::{Formats, export};
pub use results::{Results, replace};
