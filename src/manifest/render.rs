//! Problems as a terminal shows them, drawn by miette. What is drawn is an [`Excerpt`], never the raw text.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use super::{
    Place, Problem, Problems,
    excerpt::{Excerpt, visible},
};

/// More than this many problems hide the first of them.
const MOST: usize = 40;

/// All problems as text that ends with a newline.
pub fn render(problems: &Problems, color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.max(40))
        .with_context_lines(0)
        .with_links(false)
        .without_syntax_highlighting();
    let mut text = String::new();
    for problem in problems.list.iter().take(MOST) {
        let report = Report::of(problem, problems, width);
        handler.render_report(&mut text, &report).expect("an excerpt is always readable, and a string takes all");
        text.push('\n');
    }
    if let Some(more) = problems.list.len().checked_sub(MOST).filter(|more| *more > 0) {
        text.push_str(&format!("… and {more} more problems\n\n"));
    }
    text
}

/// A problem as miette takes it.
#[derive(Debug)]
struct Report {
    message: String,
    help: Option<String>,
    source: Option<Source>,
}

/// One line of one text.
#[derive(Debug)]
struct Source {
    name: String,
    line: usize,
    column: usize,
    shown: String,
    span: SourceSpan,
}

impl Report {
    fn of(problem: &Problem, problems: &Problems, width: usize) -> Self {
        let source = |name: &str, text: &str| {
            let Excerpt { line, column, shown, span } = Excerpt::of(text, &problem.span, width.saturating_sub(8));
            Source { name: visible(name), line, column, shown, span: span.into() }
        };
        let source = match &problem.place {
            Place::Manifest => Some(source(&problems.text.path.to_string_lossy(), &problems.text.content)),
            Place::Argument(argument) => Some(source("command line", argument)),
            Place::Nowhere => None,
        };
        Self { message: visible(&problem.message), help: problem.help.as_deref().map(visible), source }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let source = self.source.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, source.span))))
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            self.shown.as_bytes(),
            (0, self.shown.len()).into(),
            self.line - 1,
            self.column - 1,
            1,
        )))
    }
}
