//! Record + artifacts → what people read: the folder of results with its page, and exports under human names.

mod clock;
mod document;
mod export;
mod layout;
mod page;
mod results;

pub use clock::span;
pub use document::{filled, is_document};
pub use export::{Formats, export};
pub use page::{Notes, Page};
pub use results::{Results, replace, short_key};
