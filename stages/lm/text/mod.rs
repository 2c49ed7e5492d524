//! Text and tokens: prompts, tokenizers with their chat templates, and what was generated.

pub mod answers;
pub mod prompts;
pub mod texts;
pub mod tokenizer;
pub mod tokens;
