//! Sets a document by Typst, in memory: the template is of this program, the data is JSON that the template reads,
//! and there is nothing else to read. No file, no package, no network, no clock.

use std::{ops::RangeInclusive, sync::LazyLock};

use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult, SourceDiagnostic},
    foundations::{Bytes, Datetime, Duration, Smart},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

/// How a document looks.
pub(super) const TEMPLATE: &str = include_str!("invoice.typ");

/// Inter, by the SIL Open Font License 1.1 (`fonts/LICENSE.txt`): Latin, Greek and Cyrillic.
static OWN_FONTS: LazyLock<Vec<Font>> = LazyLock::new(|| {
    let files: [&'static [u8]; 2] =
        [include_bytes!("fonts/Inter-Regular.otf"), include_bytes!("fonts/Inter-SemiBold.otf")];
    files.into_iter().flat_map(|file| Font::iter(Bytes::new(file))).collect()
});

/// Control characters and those that only turn or hide text; a text with them would not print as it reads.
const INVISIBLE: [RangeInclusive<char>; 7] = [
    '\u{ad}'..='\u{ad}',
    '\u{200b}'..='\u{200b}',
    '\u{200e}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
];

/// Stands for a character that no font here has: an archive's PDF may have none without a shape.
const MISSING: char = '?';

/// What documents are set with. Made once.
pub(super) struct Press {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    data: FileId,
}

/// When a document was made, in UTC, as its file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) year: i32,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
}

impl Press {
    /// With further fonts for scripts that ours has no letters of.
    pub(super) fn new(more: &[Font]) -> Option<Self> {
        let file =
            |path: &str| Some(RootedPath::new(VirtualRoot::Project, VirtualPath::new(path).ok()?).intern());
        let fonts: Vec<Font> = OWN_FONTS.iter().chain(more).cloned().collect();
        Some(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(file("invoice.typ")?, TEMPLATE.to_owned()),
            data: file("data.json")?,
        })
    }

    /// With another template, for what one could do.
    #[cfg(test)]
    pub(super) fn with_template(&self, text: &str) -> Self {
        Self {
            library: self.library.clone(),
            book: self.book.clone(),
            fonts: self.fonts.clone(),
            template: Source::new(self.template.id(), text.to_owned()),
            data: self.data,
        }
    }

    /// A text as it can be printed: what no font has is a question mark, what is not seen is not there.
    pub(super) fn printable(&self, text: &str) -> String {
        let is_there = |c: char| self.fonts.iter().any(|f| f.info().coverage.contains(u32::from(c)));
        let is_hidden = |c: &char| INVISIBLE.iter().any(|range| range.contains(c));
        let is_joiner = |c: &char| ('\u{200c}'..='\u{200d}').contains(c);
        let shown = text.chars().filter(|c| !is_hidden(c) && (!is_joiner(c) || is_there(*c)));
        let shown = shown.map(|c| match c {
            c if c.is_whitespace() || c.is_control() => ' ',
            c if is_there(c) => c,
            _ => MISSING,
        });
        shown.collect()
    }

    /// The PDF of JSON as the template reads it; the same bytes for the same data. What is between is forgotten.
    pub(super) fn set(&self, (id, made): (&str, Made), data: Vec<u8>) -> Result<Vec<u8>, String> {
        let job = Job { press: self, data: Bytes::new(data) };
        let pdf = job.set(id, made);
        // Typst remembers what it laid out, for editors; without this it would keep every document.
        typst::comemo::evict(0);
        pdf
    }
}

/// One document.
struct Job<'a> {
    press: &'a Press,
    data: Bytes,
}

impl Job<'_> {
    fn set(&self, id: &str, made: Made) -> Result<Vec<u8>, String> {
        let document = typst::compile::<PagedDocument>(self).output.map_err(|found| told(&found))?;
        let at = Datetime::from_ymd_hms(made.year, made.month, made.day, made.hour, made.minute, made.second);
        let options = PdfOptions {
            ident: Smart::Custom(id.to_owned()),
            creator: Smart::Custom(Some("Roadlake".to_owned())),
            timestamp: at.map(Timestamp::new_utc),
            // For archives; it asks for fonts within, and forbids what changes by itself.
            standards: PdfStandards::new(&[PdfStandard::A_2b]).map_err(|e| e.message().to_string())?,
            ..PdfOptions::default()
        };
        typst_pdf::pdf(&document, &options).map_err(|found| told(&found))
    }
}

fn told(found: &[SourceDiagnostic]) -> String {
    found.iter().map(|d| d.message.to_string()).collect::<Vec<_>>().join("; ")
}

impl World for Job<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &self.press.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.press.book
    }

    fn main(&self) -> FileId {
        self.press.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.main() { Ok(self.press.template.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.press.data { Ok(self.data.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.press.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}
