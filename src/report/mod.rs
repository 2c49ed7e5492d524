//! Record + artifacts → what people read: the folder of results with its page, and exports under human names.

mod export;
mod layout;
mod page;
mod results;

pub use export::{Formats, export};
pub use page::{Notes, Page};
pub use results::{Results, replace};
