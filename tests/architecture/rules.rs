//! The rules of the house, each a judgement about one source file.

use super::source::Source;

/// The layers, from the ground up. Within a layer a room may use its neighbours, except where the order of the list
/// in a row of its own says otherwise: `sys` is below `device`, `device` below `engine`.
const ROOMS: [(&str, &str, u32); 29] = [
    ("addr", "L0", 0),
    ("buf", "L0", 0),
    ("counters", "L0", 0),
    ("cx", "L0", 0),
    ("error", "L0", 0),
    ("line", "L0", 0),
    ("ready", "L0", 0),
    ("rng", "L0", 0),
    ("shrink", "L0", 0),
    ("slab", "L0", 0),
    ("time", "L0", 0),
    ("wire", "L1", 10),
    ("dhcp", "L2", 20),
    ("icmp", "L2", 20),
    ("ip", "L2", 20),
    ("neigh", "L2", 20),
    ("raw", "L2", 20),
    ("tcp", "L2", 20),
    ("udp", "L2", 20),
    ("stack", "L3", 30),
    ("sys", "L4", 40),
    ("device", "L4", 41),
    ("engine", "L4", 42),
    ("host", "L5", 51),
    ("socket", "L5", 50),
    ("bin", "L6", 60),
    ("capi", "L6", 60),
    ("main", "L6", 60),
    ("lib", "L6", 70),
];
/// Layers above this height may have clocks, locks, threads and errno.
const PURE: u32 = 30;

/// The columns of a line of comment.
const COLUMNS: usize = 120;
const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 120;
/// Of a function C calls.
const CAPI_LINES: usize = 15;

/// What the pure layers must not name, and why.
const IMPURE: [(&[&str], &str); 10] = [
    (&["parking_lot"], "has locks"),
    (&["std", "sync"], "has locks"),
    (&["core", "sync"], "has locks"),
    (&["std", "thread"], "has threads"),
    (&["std", "fs"], "does input and output"),
    (&["std", "env"], "reads the environment"),
    (&["std", "process"], "knows of processes"),
    (&["libc"], "knows the host"),
    (&["Instant", "now"], "reads a clock"),
    (&["SystemTime"], "reads a clock"),
];

/// Who may name one of them all the same, and why.
const EXCEPTIONS: [(&str, &[&str], &str); 7] = [
    ("buf/pool.rs", &["parking_lot"], "buffers come back to the pool from whichever thread drops them last"),
    ("buf/pool.rs", &["std", "sync"], "as above: the pool is shared by all threads"),
    (
        "buf/",
        &["std", "sync", "Arc"],
        "a payload is shared by the send queue and the frames that carry it, without a copy",
    ),
    ("buf/", &["std", "sync", "OnceLock"], "a block of a rope is written once and then shared"),
    ("tcp/settings.rs", &["std", "sync", "Arc"], "the administrator's settings are kept once for all connections"),
    ("stack/mod.rs", &["std", "sync", "Arc"], "as above: the stack hands them to its connections"),
    ("tcp/accecn/option.rs", &["std", "sync", "Arc"], "as above: one that was opened before has them, too"),
];

const UNSAFE_ROOMS: [&str; 2] = ["sys", "capi"];
const NAMELESS: [&str; 8] = ["utils", "util", "helpers", "common", "misc", "manager", "shared", "types"];
const UNFINISHED: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// The room a file belongs to: `tcp` for `tcp/output.rs`, `rng` for `rng.rs`.
pub fn room(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn layer(room: &str) -> Option<(&'static str, u32)> {
    ROOMS.iter().find(|(name, ..)| *name == room).map(|(_, layer, height)| (*layer, *height))
}

/// Whether the whole file is tests, by its name.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// All that is wrong with a file. `path` is relative to `src`; `is_test` marks files that only tests see.
pub fn judge(path: &str, text: &str, is_test: bool) -> Vec<String> {
    let source = Source::new(text);
    let mut wrong = names(path);
    wrong.extend(budgets(path, text, &source));
    wrong.extend(unfinished(path, text, &source));
    if !is_test {
        wrong.extend(arrows(path, &source));
        wrong.extend(purity(path, &source));
    }
    wrong.extend(unsafety(path, &source));
    wrong.extend(crossing_bounds(path, &source));
    wrong
}

/// All that is wrong with a file of another member of the workspace, where `unsafe` is at home: it is what C calls.
pub fn judge_member(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(text);
    let mut wrong = budgets(path, text, &source);
    wrong.extend(unfinished(path, text, &source));
    wrong.extend(unexplained(path, &source));
    wrong.extend(crossing_bounds(path, &source));
    wrong
}

/// `clamp` panics when its bounds cross, which only constants cannot do: others are kept by `min` and `max`, whose
/// order says which of the two wins.
fn crossing_bounds(path: &str, source: &Source) -> Vec<String> {
    let is_constant = |word: &str| {
        let is_name = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        is_name || is_number || ["as", "i32", "u32", "u64", "usize", "u16"].contains(&word)
    };
    let is_word = |text: &str| text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let mut wrong = Vec::new();
    for (at, call) in source.tokens.windows(3).enumerate() {
        let is_call = call[0].text == "." && call[1].text == "clamp" && call[2].text == "(";
        if !is_call || source.is_test(call[1].line) {
            continue;
        }
        let mut depth = 0;
        let bounds = source.tokens[at + 2..].iter().take_while(|token| {
            depth += i32::from(token.text == "(") - i32::from(token.text == ")");
            depth > 0
        });
        if bounds.into_iter().any(|token| is_word(&token.text) && !is_constant(&token.text)) {
            let line = call[1].line + 1;
            wrong.push(format!(
                "{path}:{line} has a clamp whose bounds may cross; say min and max in the order they win"
            ));
        }
    }
    wrong
}

fn names(path: &str) -> Vec<String> {
    let part = path.split(['/', '.']).find(|part| NAMELESS.contains(part));
    let unnamed = part.map(|part| format!("{path} is called `{part}`, which says nothing; name it after what it does"));
    let homeless = layer(room(path)).is_none();
    let homeless =
        homeless.then(|| format!("{path}: the room `{}` has no layer in tests/architecture/rules.rs", room(path)));
    unnamed.into_iter().chain(homeless).collect()
}

/// Paths from the crate's root: `crate::tcp::State`, or `super::super::tcp::State` from two rooms down.
fn from_root(path: &str, named: &[String]) -> Option<String> {
    let first = named.first()?;
    if first == "crate" {
        return named.get(1).cloned();
    }
    let supers = named.iter().take_while(|part| *part == "super").count();
    let inner = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
    let depth = inner.split('/').count();
    if supers > 0 && supers == depth { named.get(supers).cloned() } else { None }
}

fn arrows(path: &str, source: &Source) -> Vec<String> {
    let Some((from, height)) = layer(room(path)) else { return Vec::new() };
    let mut wrong = Vec::new();
    for (line, named) in source.paths().iter().filter(|(line, _)| !source.is_test(*line)) {
        let Some(used) = from_root(path, named) else { continue };
        if let Some((to, above)) = layer(&used)
            && above > height
        {
            wrong.push(format!("{path}:{} uses {used} ({to}) from {from}", line + 1));
        }
    }
    wrong.dedup();
    wrong
}

fn purity(path: &str, source: &Source) -> Vec<String> {
    let Some((from, height)) = layer(room(path)) else { return Vec::new() };
    if height > PURE {
        return Vec::new();
    }
    let contains = |named: &[String], part: &[&str]| named.windows(part.len()).any(|window| window == part);
    let excepted =
        |named: &[String]| EXCEPTIONS.iter().any(|(place, part, _)| path.starts_with(place) && contains(named, part));
    let mut wrong = Vec::new();
    for (line, named) in source.paths().iter().filter(|(line, _)| !source.is_test(*line)) {
        if let Some((part, why)) = IMPURE.iter().find(|(part, _)| contains(named, part))
            && !excepted(named)
        {
            wrong.push(format!("{path}:{} uses {}, which {why}, from {from}", line + 1, part.join("::")));
        }
    }
    wrong
}

fn budgets(path: &str, text: &str, source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES {
        wrong.push(format!("{path} has {lines} lines; a file has {FILE_LINES} at most"));
    }
    let is_capi = room(path) == "capi";
    for function in source.functions() {
        let limit = if is_capi && function.is_extern { CAPI_LINES } else { FUNCTION_LINES };
        if function.lines() > limit {
            let (line, name, lines) = (function.first + 1, &function.name, function.lines());
            wrong.push(format!("{path}:{line} fn {name} has {lines} lines; a function here has {limit} at most"));
        }
    }
    wrong
}

fn unfinished(path: &str, text: &str, source: &Source) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = line.split(|c| !is_word(c)).find(|word| UNFINISHED.contains(word)) {
            wrong.push(format!("{path}:{} says {word}", number + 1));
        }
    }
    for pair in source.tokens.windows(2) {
        if pair[1].text == "!" && matches!(pair[0].text.as_str(), "todo" | "unimplemented") {
            wrong.push(format!("{path}:{} has {}!", pair[0].line + 1, pair[0].text));
        }
    }
    wrong
}

fn unsafety(path: &str, source: &Source) -> Vec<String> {
    if !UNSAFE_ROOMS.contains(&room(path)) {
        let lines = source.unsafe_lines();
        return lines.iter().map(|line| format!("{path}:{} is unsafe outside sys and capi", line + 1)).collect();
    }
    unexplained(path, source)
}

fn unexplained(path: &str, source: &Source) -> Vec<String> {
    let lines = source.unexplained_unsafe().into_iter().filter(|line| !source.is_test(*line));
    lines.map(|line| format!("{path}:{} is unsafe without a SAFETY comment", line + 1)).collect()
}

/// What a file's comments are written in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Comments {
    /// `//` and `/* */`: Rust and C.
    Slashes,
    /// `#` at the beginning of a line: shells. One behind code may be a part of it.
    Hashes,
}

/// Comments that go beyond the line's end. (Code is for rustfmt to break, and a string cannot always be.)
pub fn wide_comments(path: &str, text: &str, comments: Comments) -> Vec<String> {
    let source = (comments == Comments::Slashes).then(|| Source::new(text));
    let is_comment = |at: usize, line: &str| match &source {
        Some(source) => source.comments.get(at).is_some_and(|comment| !comment.is_empty()),
        None => line.trim_start().starts_with('#'),
    };
    let wide = text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS);
    let wide = wide.filter(|(at, line)| is_comment(*at, line));
    wide.map(|(at, line)| {
        let columns = line.chars().count();
        format!("{path}:{} has a comment up to column {columns}; a line has {COLUMNS} at most", at + 1)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_with_the_line() {
        let wide = |text: &str, comments| wide_comments("x", text, comments).len();
        let (fits, longer) = ("x".repeat(117), "x".repeat(118));
        assert_eq!(wide(&format!("// {fits}\n/* {}\n*/", &fits), Comments::Slashes), 0);
        assert_eq!(wide(&format!("fn f() {{}} // ü\n// {longer}\n/*\n {longer}xx */"), Comments::Slashes), 2);
        assert_eq!(wide(&format!("f(\"// {longer}\");"), Comments::Slashes), 0, "a string");
        assert_eq!(wide(&format!("# {fits}x\necho '{longer}#'\n"), Comments::Hashes), 0);
        assert_eq!(wide(&format!("# {longer}x\n"), Comments::Hashes), 1);
    }

    /// What is wrong with a snippet, without the path.
    fn wrong(path: &str, text: &str) -> Vec<String> {
        judge(path, text, false).into_iter().map(|line| line.trim_start_matches(path).trim_start().to_owned()).collect()
    }

    #[test]
    fn arrows_up_are_found_in_every_form() {
        let up = [":1 uses engine (L4) from L2"];
        assert_eq!(wrong("tcp/output.rs", "use crate::engine;"), up);
        assert_eq!(wrong("tcp/output.rs", "use crate::engine::Engine;"), up);
        assert_eq!(wrong("tcp/output.rs", "use crate::{engine::Engine, time::Instant};"), up);
        assert_eq!(wrong("tcp/output.rs", "use crate::{time::Instant, engine};"), up);
        assert_eq!(wrong("tcp/output.rs", "fn f() { crate::engine::now() }"), up);
        assert_eq!(wrong("tcp/output.rs", "use super::super::engine::Engine;"), up);
        assert_eq!(wrong("sys/clock.rs", "use crate::device::Device;"), [":1 uses device (L4) from L4"]);
    }

    #[test]
    fn arrows_down_and_sideways_are_fine() {
        for (path, text) in [
            ("tcp/output.rs", "use crate::{wire::tcp::Header, time::Instant}; use super::engine::X;"),
            ("tcp/input.rs", "use crate::ip::Meta;"),
            ("device/tap.rs", "use crate::{sys::poll, stack::Config};"),
            ("engine/mod.rs", "use crate::device::Device;"),
            ("tcp/x.rs", "// use crate::engine::Engine;\nconst X: &str = \"crate::engine::E\";"),
            ("tcp/x.rs", "/// See [`crate::engine::Engine`].\nfn f() {}"),
            ("tcp/x.rs", "#[cfg(test)] mod tests { use crate::engine::Engine; }"),
        ] {
            assert_eq!(wrong(path, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_core_has_no_clock_lock_or_thread() {
        assert_eq!(wrong("tcp/x.rs", "use std::{io, sync::Arc};"), [":1 uses std::sync, which has locks, from L2"]);
        assert_eq!(
            wrong("ip/x.rs", "\nfn f() { std::thread::spawn(g); }"),
            [":2 uses std::thread, which has threads, from L2"]
        );
        assert_eq!(
            wrong("stack/x.rs", "let t = Instant::now();"),
            [":1 uses Instant::now, which reads a clock, from L3"]
        );
        assert_eq!(wrong("buf/x.rs", "use parking_lot::Mutex;").len(), 1);
        assert_eq!(wrong("buf/pool.rs", "use parking_lot::Mutex; use std::sync::atomic::AtomicU64;"), [""; 0]);
        assert_eq!(wrong("buf/rope.rs", "use std::{sync::Arc, sync::OnceLock};"), [""; 0]);
        assert_eq!(wrong("buf/rope.rs", "use std::sync::Mutex;").len(), 1);
        assert_eq!(wrong("engine/x.rs", "use std::{sync::Arc, thread}; fn f() { std::thread::park() }"), [""; 0]);
    }

    #[test]
    fn unsafe_stays_in_its_rooms_and_is_explained() {
        assert_eq!(wrong("tcp/x.rs", "fn f() { unsafe { g() } }"), [":1 is unsafe outside sys and capi"]);
        assert_eq!(wrong("tcp/x.rs", "#![forbid(unsafe_code)]"), [""; 0]);
        assert_eq!(wrong("sys/x.rs", "fn f() {\n    unsafe { g() }\n}"), [":2 is unsafe without a SAFETY comment"]);
        for text in [
            "fn f() {\n    // SAFETY: g has no conditions.\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: g has no conditions\n    // at all.\n    let x =\n        unsafe { g() };\n}",
            "fn f() {\n    unsafe {\n        // SAFETY: g has no conditions.\n        g()\n    }\n}",
            "// SAFETY: only moved.\n#[allow(x)]\nunsafe impl Send for X {}",
            "pub unsafe fn f() {}",
        ] {
            assert_eq!(wrong("sys/x.rs", text), [""; 0], "{text}");
        }
        let far = "fn f() {\n    // SAFETY: of another.\n    h();\n    unsafe { g() }\n}";
        assert_eq!(wrong("capi/x.rs", far).len(), 1);
    }

    #[test]
    fn budgets_are_kept() {
        let long = |lines| format!("fn f() {{\n{}}}\n", "x();\n".repeat(lines));
        assert_eq!(wrong("tcp/x.rs", &long(118)), [""; 0]);
        assert_eq!(wrong("tcp/x.rs", &long(119)), [":1 fn f has 121 lines; a function here has 120 at most"]);
        let called_from_c = format!("pub extern \"C\" {}", long(14));
        assert_eq!(wrong("capi/x.rs", &called_from_c), [":1 fn f has 16 lines; a function here has 15 at most"]);
        assert_eq!(wrong("capi/x.rs", &long(14)), [""; 0]);
        assert_eq!(wrong("tcp/x.rs", &"\n".repeat(801)), ["has 801 lines; a file has 800 at most"]);
    }

    #[test]
    fn braces_in_strings_characters_and_comments_do_not_count() {
        let text = "fn f<'a>(x: &'a str) -> [u8; { 1 }] {\n \"{\\\"{\"; '{'; '\\''; b'{'; r#\"{\"{\"#; /* { /* { */ */ // {\n}\nfn g() {}\n";
        let source = Source::new(text);
        let found: Vec<_> = source.functions().into_iter().map(|f| (f.name.clone(), f.first, f.last)).collect();
        assert_eq!(found, [("f".into(), 0, 2), ("g".into(), 3, 3)]);
        let types = Source::new("type F = fn(u8) -> u8; trait T { fn f(&self); fn g(&self) { x() } }");
        assert_eq!(types.functions().iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["g"]);
    }

    #[test]
    fn a_clamp_has_constant_bounds() {
        let crossing = [":1 has a clamp whose bounds may cross; say min and max in the order they win"];
        for text in
            ["x.clamp(2 * mss, 65_536)", "x.clamp(LEAST, self.most())", "x.clamp((1, 2).0, f(3))", "y(x.clamp(a, A))"]
        {
            assert_eq!(wrong("tcp/x.rs", &format!("fn f() {{ {text} }}")), crossing, "{text}");
        }
        for text in
            ["x.clamp(1, (1 << 28) - 1)", "x.clamp(BOUNDS.0, BOUNDS.1)", "x.clamp(0, DATA as i32)", "clamp(settings)"]
        {
            assert_eq!(wrong("tcp/x.rs", &format!("fn f() {{ {text} }}")), [""; 0], "{text}");
        }
    }

    #[test]
    fn nothing_is_left_unfinished_or_nameless() {
        assert_eq!(wrong("tcp/x.rs", "fn f() { todo!() }"), [":1 has todo!"]);
        assert_eq!(wrong("tcp/x.rs", "\n// TODO: later"), [":2 says TODO"]);
        assert_eq!(wrong("tcp/x.rs", "// the word mastodon\nfn todo() {}"), [""; 0]);
        assert_eq!(judge("tcp/utils.rs", "", false).len(), 1);
        assert_eq!(
            judge("cellar/x.rs", "", false),
            ["cellar/x.rs: the room `cellar` has no layer in tests/architecture/rules.rs"]
        );
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_known() {
        assert_eq!(Source::new("#[cfg(test)]\nmod traces;\nmod other;").test_modules, ["traces"]);
        let source = Source::new("#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn f() {}\n}\nfn g() {}\n");
        assert!(source.is_test(3) && !source.is_test(5));
    }
}
