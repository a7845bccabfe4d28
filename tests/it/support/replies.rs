//! Replies as a page shows them: laid out to be read, with `…` where something is left out, and held against a run.

use std::collections::BTreeMap;

/// A part of what a shell printed.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Json(Node),
    Line(String),
}

/// JSON in its own order, with gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Fields, and whether there may be others.
    Object(Vec<(String, Node)>, bool),
    /// Items, and whether there may be more.
    Array(Vec<Node>, bool),
    /// A string as it is written, between its quotes.
    Text(String),
    /// A number, `true`, `false`, `null`.
    Plain(String),
}

/// So wide is a line of a reply.
const WIDTH: usize = 116;
/// Long and random: the page shows how they begin.
const TOKENS: [&str; 4] = ["access_token", "refresh_token", "next_cursor", "cursor"];
/// They depend on random ids, by some minutes.
const TIMES: [&str; 5] = ["due_at", "local_time", "sent_at", "delivered_at", "expires_at"];
/// How much of a token is shown.
const BEGINNING: usize = 20;

/// What a shell printed, or a page shows, in its parts.
pub fn pieces(text: &str) -> Vec<Piece> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        if rest.starts_with(['{', '[']) {
            let mut reader = Reader { rest };
            found.push(Piece::Json(reader.node()));
            rest = reader.rest.trim_start();
        } else {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            found.push(Piece::Line(line.trim_end().to_owned()));
            rest = after.trim_start();
        }
    }
    found
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn take(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        let after = self.rest.strip_prefix(sign);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn string(&mut self) -> String {
        assert!(self.take('"'), "a string is expected before {:.60}", self.rest);
        let mut escaped = false;
        let end = self.rest.find(|sign: char| {
            let ends = sign == '"' && !escaped;
            escaped = sign == '\\' && !escaped;
            ends
        });
        let (text, after) = self.rest.split_at(end.expect("a string ends"));
        self.rest = &after[1..];
        text.to_owned()
    }

    fn node(&mut self) -> Node {
        if self.take('{') {
            let (mut fields, mut open) = (Vec::new(), false);
            while !self.take('}') {
                if self.take('…') {
                    open = true;
                } else {
                    let name = self.string();
                    assert!(self.take(':'), "a colon is expected before {:.60}", self.rest);
                    fields.push((name, self.node()));
                }
                self.take(',');
            }
            return Node::Object(fields, open);
        }
        if self.take('[') {
            let (mut items, mut open) = (Vec::new(), false);
            while !self.take(']') {
                if self.take('…') {
                    open = true
                } else {
                    items.push(self.node())
                }
                self.take(',');
            }
            return Node::Array(items, open);
        }
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('"') {
            return Node::Text(self.string());
        }
        let end = self.rest.find([',', '}', ']', ' ', '\n']).unwrap_or(self.rest.len());
        let (text, after) = self.rest.split_at(end);
        assert!(!text.is_empty(), "a value is expected before {:.60}", self.rest);
        self.rest = after;
        Node::Plain(text.to_owned())
    }
}

/// How a page shows what a run printed, leaving out what the page leaves out now.
pub fn shown(page: &[Piece], run: &[Piece]) -> String {
    let mut templates = page.iter().filter_map(|piece| if let Piece::Json(node) = piece { Some(node) } else { None });
    let mut lines = Vec::new();
    for piece in run {
        lines.push(match piece {
            Piece::Line(line) => line.clone(),
            Piece::Json(node) => laid_out(&cut(templates.next(), node, ""), 0, 0),
        });
    }
    lines.join("\n")
}

/// The part of a reply that a template keeps.
fn cut(template: Option<&Node>, node: &Node, name: &str) -> Node {
    match (template, node) {
        (Some(Node::Object(kept, true)), Node::Object(fields, _)) => {
            let template = |name: &str| kept.iter().find(|(kept, _)| kept == name).map(|(_, node)| node);
            let keep = |(name, node): &(String, Node)| {
                template(name).map(|template| (name.clone(), cut(Some(template), node, name)))
            };
            let left: Vec<_> = fields.iter().filter_map(keep).collect();
            let less = left.len() < fields.len();
            Node::Object(left, less)
        }
        (template, Node::Object(fields, _)) => {
            let inside = |name: &str| match template {
                Some(Node::Object(kept, _)) => kept.iter().find(|(kept, _)| kept == name).map(|(_, node)| node),
                _ => None,
            };
            let whole = fields.iter().map(|(name, node)| (name.clone(), cut(inside(name), node, name)));
            Node::Object(whole.collect(), false)
        }
        (template, Node::Array(items, _)) => {
            let (templates, most) = match template {
                Some(Node::Array(templates, open)) => {
                    (templates.as_slice(), if *open { templates.len() } else { usize::MAX })
                }
                _ => (&[][..], usize::MAX),
            };
            let left: Vec<Node> =
                items.iter().take(most).enumerate().map(|(at, item)| cut(templates.get(at), item, name)).collect();
            let less = left.len() < items.len();
            Node::Array(left, less)
        }
        (_, Node::Text(text)) if TOKENS.contains(&name) => {
            Node::Text(format!("{}…", text.chars().take(BEGINNING).collect::<String>()))
        }
        (_, other) => other.clone(),
    }
}

/// On one line if it fits, else as many fields or items on each line as fit.
fn laid_out(node: &Node, depth: usize, before: usize) -> String {
    let line = on_a_line(node);
    if 2 * depth + before + line.chars().count() <= WIDTH {
        return line;
    }
    let gap = |open: &bool| open.then(|| "…".to_owned());
    let (parts, signs) = match node {
        Node::Object(fields, open) => {
            let field = |(name, node): &(String, Node)| {
                format!("\"{name}\": {}", laid_out(node, depth + 1, name.chars().count() + 5))
            };
            (fields.iter().map(field).chain(gap(open)).collect::<Vec<_>>(), ["{", "}"])
        }
        Node::Array(items, open) => {
            (items.iter().map(|node| laid_out(node, depth + 1, 1)).chain(gap(open)).collect(), ["[", "]"])
        }
        Node::Text(_) | Node::Plain(_) => return line,
    };
    let indent = format!("\n{}", "  ".repeat(depth + 1));
    let (mut text, mut column, last) = (format!("{} ", signs[0]), 2 * depth + before + 2, parts.len() - 1);
    for (at, part) in parts.iter().enumerate() {
        let width = part.chars().count() + 2;
        let alone = part.contains('\n') || at > 0 && parts[at - 1].contains('\n');
        if at > 0 && (alone && part != "…" || column + width > WIDTH) {
            text.truncate(text.trim_end().len());
            text.push_str(&indent);
            column = indent.len();
        }
        text.push_str(part);
        text.push_str(if at < last { ", " } else { " " });
        column += width;
    }
    text + signs[1]
}

fn on_a_line(node: &Node) -> String {
    let gap = |open: &bool| open.then(|| "…".to_owned());
    match node {
        Node::Object(fields, open) => {
            let fields = fields.iter().map(|(name, node)| format!("\"{name}\": {}", on_a_line(node)));
            let inside = fields.chain(gap(open)).collect::<Vec<_>>().join(", ");
            if inside.is_empty() { "{}".to_owned() } else { format!("{{ {inside} }}") }
        }
        Node::Array(items, open) => {
            format!("[{}]", items.iter().map(on_a_line).chain(gap(open)).collect::<Vec<_>>().join(", "))
        }
        Node::Text(text) => format!("\"{text}\""),
        Node::Plain(text) => text.clone(),
    }
}

/// Which random value of the page stands for which of the run: the same for the same.
#[derive(Default)]
pub struct Names {
    run: BTreeMap<String, String>,
    page: BTreeMap<String, String>,
    /// What the page asks: ids in it are the page's own.
    asked: String,
}

impl Names {
    /// Nothing is known yet, but the ids in what the page asks.
    pub fn of(asked: String) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Holds what a page shows against what a run printed; says where they differ.
    pub fn hold(&mut self, page: &[Piece], run: &[Piece]) -> Result<(), String> {
        if page.len() != run.len() {
            return Err(format!("{} parts are shown, {} came", page.len(), run.len()));
        }
        for (at, pair) in page.iter().zip(run).enumerate() {
            match pair {
                (Piece::Line(shown), Piece::Line(came)) if shown == came => {}
                // The tag of an event is a keyed hash.
                (Piece::Line(shown), Piece::Line(came)) if shown.starts_with("id: ") && came.starts_with("id: ") => {}
                (Piece::Json(shown), Piece::Json(came)) => self.same(shown, came, "", &format!("part {}", at + 1))?,
                (shown, came) => return Err(format!("part {}: {shown:?} is shown, {came:?} came", at + 1)),
            }
        }
        Ok(())
    }

    fn same(&mut self, page: &Node, run: &Node, name: &str, place: &str) -> Result<(), String> {
        match (page, run) {
            (Node::Object(shown, open), Node::Object(came, _)) => {
                let mut rest = came.iter();
                for (name, shown) in shown {
                    let place = format!("{place}/{name}");
                    let found = rest.find(|(other, _)| other == name || !*open);
                    match found {
                        Some((other, came)) if other == name => self.same(shown, came, name, &place)?,
                        other => return Err(format!("{place} is shown, {:?} came", other.map(|(name, _)| name))),
                    }
                }
                match rest.next() {
                    Some((more, _)) if !open => Err(format!("{place}/{more} came and is not shown")),
                    _ => Ok(()),
                }
            }
            (Node::Array(shown, open), Node::Array(came, _)) => {
                if shown.len() > came.len() || (!open && shown.len() < came.len()) {
                    return Err(format!("{place}: {} items are shown, {} came", shown.len(), came.len()));
                }
                let mut pairs = shown.iter().zip(came).enumerate();
                pairs.try_for_each(|(at, (shown, came))| self.same(shown, came, name, &format!("{place}/{at}")))
            }
            (Node::Text(shown), Node::Text(came)) if self.stands_for(shown, came, name) => Ok(()),
            (Node::Plain(shown), Node::Plain(came)) if shown == came => Ok(()),
            _ => Err(format!(
                "{place}: {} is shown, {} came; or one of them stood for something else before",
                on_a_line(page),
                on_a_line(run)
            )),
        }
    }

    fn stands_for(&mut self, shown: &str, came: &str, name: &str) -> bool {
        let both = |fits: fn(&str) -> bool| fits(shown) && fits(came);
        let time = TIMES.contains(&name) && shape(shown) == shape(came);
        if TOKENS.contains(&name) {
            return shown.ends_with('…') && came.len() > BEGINNING;
        }
        let made = self.asked.contains(shown) || self.asked.contains(came);
        // A reader's tag is a keyed hash.
        let hash = name == "etag" && both(|tag| tag.len() > 40) || name == "epoch" && both(|epoch| epoch.len() == 22);
        let random =
            hash || (both(is_id) && !made) || time || name == "words" || (name == "code" && both(is_invitation));
        if !random {
            return shown == came;
        }
        let first = self.run.entry(shown.to_owned()).or_insert_with(|| came.to_owned()) == came;
        // Two prompts may fall on one minute by chance; two ids are never the same.
        let only = time || self.page.entry(came.to_owned()).or_insert_with(|| shown.to_owned()) == shown;
        first && only
    }
}

/// A time with its digits made equal.
fn shape(text: &str) -> String {
    text.replace(|sign: char| sign.is_ascii_digit(), "0")
}

/// Whether it is the code of an invitation, and not the name of an error.
fn is_invitation(text: &str) -> bool {
    text.contains('-') && text.chars().all(|sign| sign == '-' || sign.is_ascii_uppercase() || sign.is_ascii_digit())
}

fn is_id(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|sign| sign == '-' || sign.is_ascii_hexdigit())
}
