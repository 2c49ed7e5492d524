//! Chat templates: the Jinja programs that models ship to turn a conversation into text.
//!
//! Rendered with Hugging Face's settings (`trim_blocks`, `lstrip_blocks`, Python's string methods). Templates are
//! other people's programs: they get no files, and a limited number of steps.

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};

use super::TokenizerError;

/// Steps after which a template is taken to run for ever.
const MOST_STEPS: u64 = 1_000_000;

/// One turn of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// `system`, `user` or `assistant`.
    pub role: &'a str,
    pub content: &'a str,
}

/// A parsed template.
pub struct ChatTemplate {
    environment: Environment<'static>,
}

const NAME: &str = "chat template";

impl ChatTemplate {
    pub fn parse(source: &str) -> Result<Self, TokenizerError> {
        let mut environment = Environment::new();
        environment.set_syntax(syntax()?);
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| fixed_date(&format));
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| TokenizerError(format!("the model's chat template cannot be parsed: {error:#}")))?;
        Ok(Self { environment })
    }

    /// The text of `messages`, with the beginning of the assistant's turn after them.
    pub fn render(&self, messages: &[Message], bos: &str, eos: &str) -> Result<String, TokenizerError> {
        let turn = |message: &Message| context! { role => message.role, content => message.content };
        let messages: Vec<Value> = messages.iter().map(turn).collect();
        let given = context! {
            messages, add_generation_prompt => true, bos_token => bos, eos_token => eos,
            tools => (), documents => (),
        };
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(given))
            .map_err(|error| TokenizerError(format!("the model's chat template refuses this conversation: {error:#}")))
    }
}

fn syntax() -> Result<SyntaxConfig, TokenizerError> {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    syntax.build().map_err(|error| TokenizerError(error.to_string()))
}

/// What `strftime_now` gives: always 26 July 2024, midnight. Prompts are a function of the manifest; a template that
/// writes today's date would make results differ from day to day. It is the date that Llama 3's own templates fall
/// back to.
fn fixed_date(format: &str) -> Result<String, Error> {
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let part = match letters.next() {
            Some('d') => "26",
            Some('m') => "07",
            Some('b') => "Jul",
            Some('B') => "July",
            Some('Y') => "2024",
            Some('y') => "24",
            Some('a') => "Fri",
            Some('A') => "Friday",
            Some('j') => "208",
            Some('H' | 'M' | 'S') => "00",
            Some('I') => "12",
            Some('p') => "AM",
            Some('F') => "2024-07-26",
            Some('T') => "00:00:00",
            Some('%') => "%",
            other => {
                let mut message = "strftime_now does not know %".to_owned();
                message.extend(other);
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        };
        text.push_str(part);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str, messages: &[Message]) -> Result<String, String> {
        let template = ChatTemplate::parse(source).map_err(|error| error.0)?;
        template.render(messages, "<s>", "</s>").map_err(|error| error.0)
    }

    const HI: Message = Message { role: "user", content: " hi " };

    /// The template in SmolLM2's file, and the text that PyTorch's side got from it.
    #[test]
    fn smollm_inserts_its_system_prompt() {
        let source = include_str!("../../../fixtures/smollm2/chat_template.jinja");
        let question = Message { role: "user", content: "What is the capital of France?" };
        assert_eq!(
            rendered(source, &[question]).unwrap(),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
             <|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
        );
        let system = Message { role: "system", content: "Be brief." };
        assert!(
            rendered(source, &[system, question]).unwrap().starts_with("<|im_start|>system\nBe brief.<|im_end|>\n")
        );
    }

    #[test]
    fn blocks_are_trimmed_and_python_methods_work() {
        let source = "{{ bos_token }}\n  {% for m in messages %}\n{{ m.content.strip() + m['role'].upper() }}\n  {% endfor %}\nend";
        assert_eq!(rendered(source, &[HI]).unwrap(), "<s>\nhiUSER\nend");
    }

    #[test]
    fn refusals_and_mistakes_are_passed_on() {
        assert!(rendered("{{ raise_exception('no system role') }}", &[HI]).unwrap_err().contains("no system role"));
        assert!(rendered("{% for %}", &[HI]).unwrap_err().contains("cannot be parsed"));
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
        assert!(rendered(endless, &[HI]).unwrap_err().contains("fuel"));
    }

    #[test]
    fn today_is_always_the_same_day() {
        assert_eq!(rendered("{{ strftime_now('%d %b %Y') }}", &[HI]).unwrap(), "26 Jul 2024");
        assert!(rendered("{{ strftime_now('%Q') }}", &[HI]).unwrap_err().contains("%Q"));
    }
}
