//! The house is in order: arrows between layers go down only, budgets are kept, `unsafe` stays where it belongs, and
//! ARCHITECTURE.md speaks of what is there. All violations are listed at once.
//!
//! `SOCKEYE_BLESS=1 cargo test --test architecture` writes the map in ARCHITECTURE.md anew.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::Comments;
use source::Source;
use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const MAP_BEGINS: &str = "<!-- the map: written by SOCKEYE_BLESS=1 cargo test --test architecture -->\n```text\n";
const MAP_ENDS: &str = "```\n<!-- end of the map -->";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a readable folder").map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files of `src`: path relative to it, and text.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let name = |path: &Path| path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Files only tests see: those that `#[cfg(test)] mod name;` brings in, and those called tests.
fn test_files(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut tests: BTreeSet<String> = BTreeSet::new();
    for (path, text) in sources {
        let folder = path.trim_end_matches("mod.rs").trim_end_matches("lib.rs").trim_end_matches(".rs");
        let folder = if folder.is_empty() || folder.ends_with('/') { folder.to_owned() } else { format!("{folder}/") };
        for name in Source::new(text).test_modules {
            let module = format!("{folder}{name}");
            let inside = |path: &&(String, String)| {
                path.0 == format!("{module}.rs") || path.0.starts_with(&format!("{module}/"))
            };
            tests.extend(sources.iter().filter(inside).map(|(path, _)| path.clone()));
        }
    }
    tests.extend(sources.iter().map(|(path, _)| path).filter(|path| rules::is_test_file(path)).cloned());
    tests
}

#[test]
fn the_house_is_in_order() {
    let sources = sources();
    let tests = test_files(&sources);
    let judge = |(path, text): &(String, String)| rules::judge(path, text, tests.contains(path));
    let wrong: Vec<String> = sources.iter().flat_map(judge).collect();
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_other_members_are_in_order() {
    let mut files = Vec::new();
    for member in ["packetdrill/src", "preload/src", "shim/src"] {
        rust_files(&root().join(member), &mut files);
    }
    let judge = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        rules::judge_member(name, &fs::read_to_string(path).unwrap())
    };
    let wrong: Vec<String> = files.iter().flat_map(judge).collect();
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rooms where numbers come from others. A cast that can cut one, or change its sign, is refused there by clippy,
/// unless a reason stands beside it.
const UNCUT: [&str; 5] =
    ["src/wire/mod.rs", "src/host/mod.rs", "src/sys/mod.rs", "shim/src/lib.rs", "preload/src/lib.rs"];

#[test]
fn no_number_of_others_is_cut_without_a_reason() {
    const LINTS: [&str; 3] =
        ["clippy::cast_possible_truncation", "clippy::cast_sign_loss", "clippy::cast_possible_wrap"];
    let rule = format!("#![cfg_attr(not(test), warn({}))]", LINTS.join(", "));
    for path in UNCUT {
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(text.lines().any(|line| line == rule), "{path} does not say {rule}");
        let mut files = Vec::new();
        rust_files(root().join(path).parent().unwrap(), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let attributes = text.split("#[").skip(1).filter_map(|rest| rest.split(")]").next());
            let exempts = attributes.filter(|attribute| LINTS.iter().any(|lint| attribute.contains(lint)));
            let unexplained: Vec<&str> = exempts.filter(|attribute| !attribute.contains("reason = \"")).collect();
            assert!(unexplained.is_empty(), "{}: #[allow(LINT, reason = \"...\")]: {unexplained:?}", file.display());
        }
    }
}

/// All files below `folder` whose comments have a rule, with their text; not what is built there.
fn commented(folder: &Path, found: &mut Vec<(String, String, Comments)>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a readable folder").map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with("target") && (!name.starts_with('.') || name == ".ci") {
                commented(&path, found);
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // What build.rs writes has its comments from src/capi, and a column more.
        let kind = match extension {
            "rs" | "c" => Some(Comments::Slashes),
            "h" if !path.starts_with(root().join("include")) => Some(Comments::Slashes),
            "sh" => Some(Comments::Hashes),
            "" => None,
            _ => continue,
        };
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let is_shells = text.lines().next().is_some_and(|line| line.starts_with("#!") && line.ends_with("sh"));
        if let Some(kind) = kind.or(is_shells.then_some(Comments::Hashes)) {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, text, kind));
        }
    }
}

#[test]
fn comments_end_where_lines_do() {
    let mut files = Vec::new();
    commented(root(), &mut files);
    let has = |wanted: &str| files.iter().any(|(name, ..)| name == wanted);
    for wanted in
        ["src/lib.rs", "shim/src/lib.rs", "c-tests/api.h", "tests/architecture.rs", "demo/run.sh", ".ci/tests"]
    {
        assert!(has(wanted), "{wanted} is not looked at");
    }
    let wrong: Vec<String> =
        files.iter().flat_map(|(name, text, comments)| rules::wide_comments(name, text, *comments)).collect();
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

/// The first sentence of a file's documentation.
fn first_sentence(text: &str) -> String {
    let docs =
        text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).take_while(|line| !line.is_empty());
    let docs = docs.collect::<Vec<_>>().join(" ");
    let end = docs.find(". ").map_or(docs.len(), |at| at + 1);
    docs[..end].trim_end_matches(['.', ':']).replace("[`", "`").replace("`]", "`")
}

/// A line for every room and file, with what its documentation says first.
fn map() -> String {
    let mut sources = sources();
    let tests = test_files(&sources);
    sources.retain(|(path, _)| !tests.contains(path));
    // `config.rs` and `config/` are one room and share a line; so are `device/mod.rs` and `device/`.
    let inside = |room: &str| format!("{room}/");
    let has_folder = |path: &str| {
        let folder = inside(path.trim_end_matches("/mod.rs").trim_end_matches(".rs"));
        sources.iter().any(|(other, _)| other.starts_with(&folder))
    };
    let mut map = String::from("src/\n");
    let mut rooms: Vec<(String, &str)> = Vec::new();
    for (path, text) in &sources {
        let room = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let form = match (path.ends_with("mod.rs"), has_folder(path)) {
            (true, _) => format!("{room}/"),
            (false, true) => format!("{room}.rs, {room}/"),
            (false, false) => path.clone(),
        };
        rooms.push((form, text));
    }
    rooms.sort_by_key(|(form, _)| form.split([',', '.']).next().unwrap_or_default().trim_end_matches('/').to_owned());
    for (form, text) in rooms {
        let depth = form.split(',').next().unwrap_or_default().trim_end_matches('/').matches('/').count() + 1;
        let names: Vec<&str> = form.split(", ").map(last_name).collect();
        let line = format!("{:<24} {}", format!("{}{}", "  ".repeat(depth), names.join(", ")), first_sentence(text));
        writeln!(map, "{}", shortened(line.trim_end())).unwrap();
    }
    map
}

/// `config/` of `stack/config/`.
fn last_name(path: &str) -> &str {
    let end = path.trim_end_matches('/');
    &path[end.rfind('/').map_or(0, |at| at + 1)..]
}

/// A line of the map has room for so many characters.
fn shortened(line: &str) -> String {
    const WIDTH: usize = 124;
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let cut: String = line.chars().take(WIDTH - 4).collect();
    format!("{} ...", cut.rsplit_once(' ').map_or(&*cut, |(kept, _)| kept).trim_end_matches([',', ':', '(']))
}

#[test]
fn the_map_shows_every_room() {
    let path = root().join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).expect("ARCHITECTURE.md");
    let begin = text.find(MAP_BEGINS).expect("the map's beginning") + MAP_BEGINS.len();
    let end = begin + text[begin..].find(MAP_ENDS).expect("the map's end");
    let map = map();
    if std::env::var_os("SOCKEYE_BLESS").is_some() {
        fs::write(&path, format!("{}{map}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (text[begin..end].lines().collect(), map.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}\n"));
    let come = new.difference(&old).map(|line| format!("+ {line}\n"));
    let differences: String = gone.chain(come).collect();
    let cure = "write it anew: SOCKEYE_BLESS=1 cargo test --test architecture";
    assert!(text[begin..end] == *map, "the map in ARCHITECTURE.md is not the house; {cure}\n{differences}");
}

/// What stands between backquotes outside code blocks.
fn quoted(markdown: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in markdown.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Whether a quotation names code of ours (`Stack::receive`, `turn()`), and then its last name.
fn named(quotation: &str) -> Option<&str> {
    let name = quotation.trim_end_matches("()");
    let is_code = name != quotation || name.contains("::");
    let is_name =
        name.split("::").all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'));
    let is_foreign = name.starts_with("std::") || name.starts_with("sockeye_");
    (is_code && is_name && !is_foreign).then(|| name.rsplit("::").next().unwrap_or(name))
}

#[test]
fn what_the_documents_quote_exists() {
    let sources = sources();
    let words: BTreeSet<String> =
        sources.iter().flat_map(|(_, text)| Source::new(text).tokens).map(|token| token.text).collect();
    let mut wrong = String::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for quotation in quoted(&text) {
            if named(&quotation).is_some_and(|name| !words.contains(name)) {
                writeln!(wrong, "{document} speaks of `{quotation}`, which is nowhere in src").unwrap();
            }
            let is_file = quotation.ends_with(".rs") && !quotation.contains(['*', '{']);
            if is_file && !root().join(&quotation).exists() && !root().join("src").join(&quotation).exists() {
                writeln!(wrong, "{document} speaks of `{quotation}`, which is no file").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
