//! The commands of documents: fenced blocks of Markdown, and the examples of manual pages.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a document shows that can be run.
pub enum Example {
    /// A line for the shell.
    Command(String),
    /// A program, in the language and file that it is to have.
    Program(Language, String),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Language {
    C,
    Python,
}

pub struct Found {
    /// Where: `README.md:12`.
    pub place: String,
    pub example: Example,
}

/// Every document of the repository, by its path from `root`: Markdown, and the manual pages.
pub fn documents(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if entry.is_dir() && !name.starts_with('.') && name != "target" && !entry.is_symlink() {
                folders.push(entry);
            } else if [".md", ".1", ".7"].iter().any(|end| name.ends_with(end)) {
                found.push(relative(root, &entry));
            }
        }
    }
    found.sort();
    found
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("below the root").display().to_string()
}

/// What a document shows, in its order.
pub fn examples(root: &Path, document: &str) -> Vec<Found> {
    let text = fs::read_to_string(PathBuf::from(root).join(document)).expect("a document");
    let blocks = if document.ends_with(".md") { fenced(&text) } else { displayed(&text) };
    let mut found = Vec::new();
    for Block { first, language, lines } in blocks {
        let place = |line| format!("{document}:{}", first + line);
        match language.as_str() {
            "sh" => found.extend(
                commands(&lines)
                    .map(|(line, command)| Found { place: place(line), example: Example::Command(command) }),
            ),
            "c" | "python" => {
                let language = if language == "c" { Language::C } else { Language::Python };
                found.push(Found { place: place(0), example: Example::Program(language, lines.join("\n") + "\n") });
            }
            "text" | "rust" => {}
            other => panic!("{}: what is `{other}`? Say sh, c, python, rust or text", place(0)),
        }
    }
    found
}

struct Block {
    /// The number of its first line.
    first: usize,
    language: String,
    lines: Vec<String>,
}

fn fenced(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block { first: at + 2, language: language.to_owned(), lines: Vec::new() });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// What stands between .EX and .EE, without man(7)'s escapes. A block with statements is C, and others are commands.
fn displayed(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (line, &mut open) {
            (".EX", None) => open = Some(Block { first: at + 2, language: "sh".into(), lines: Vec::new() }),
            (".EE", Some(_)) => blocks.extend(open.take()),
            (line, Some(block)) => {
                if line.ends_with(';') {
                    block.language = "c".into();
                }
                block.lines.push(line.replace("\\-", "-").replace("\\e", "\\").replace("\\(aq", "'"));
            }
            (_, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// Each command of a block with the number of its line; one that goes on after a backslash is one.
fn commands(lines: &[String]) -> impl Iterator<Item = (usize, String)> {
    let mut commands: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (at, line) in lines.iter().enumerate() {
        match commands.last_mut() {
            Some((_, command)) if goes_on => {
                command.push('\n');
                command.push_str(line);
            }
            _ => commands.push((at, line.clone())),
        }
        goes_on = line.ends_with('\\');
    }
    commands.into_iter().filter(|(_, command)| !command.trim().is_empty() && !command.trim_start().starts_with('#'))
}

/// The spans of code in a document's text: what stands between backquotes in Markdown.
pub fn spans(text: &str) -> Vec<String> {
    let mut spans = Vec::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.starts_with("```")) {
        spans.extend(paragraph.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
    }
    spans
}
