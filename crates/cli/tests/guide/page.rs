//! What is to be done on a page of the guide, in its order.

/// One thing to do, with its line on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub line: usize,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `<!-- stage: … -->`: something happens outside of Paritas, which the test has to bring about.
    Stage(String),
    /// A block of TOML, whose first line is a comment with the path of the file.
    File { path: String, text: String },
    /// A block of SQL, whose first line is a comment with the server: `-- on db-east`.
    Sql { server: String, text: String },
    /// `$ command` of a console, with the exit code and the output that the page shows.
    Command { text: String, code: i32, shown: Vec<String> },
    /// A line of a crontab: the command without its five fields.
    Cron(String),
}

/// A block between fences.
struct Block<'a> {
    line: usize,
    kind: &'a str,
    lines: Vec<&'a str>,
}

/// All steps of a page. A block that nothing knows how to run is an error: a command that is not run cannot be on a page.
pub fn steps(page: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(kind), None) => open = Some(Block { line: index + 1, kind, lines: Vec::new() }),
            (Some(_), Some(_)) => steps.extend(open.take().map_or(Ok(Vec::new()), |block| of_block(&block))?),
            (None, Some(block)) => block.lines.push(line),
            (None, None) => {
                let stage = line.strip_prefix("<!-- stage: ").and_then(|rest| rest.strip_suffix(" -->"));
                steps.extend(stage.map(|words| Step { line: index + 1, what: What::Stage(words.to_owned()) }));
            }
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the block has no end", block.line)),
        None => Ok(steps),
    }
}

fn of_block(block: &Block<'_>) -> Result<Vec<Step>, String> {
    let whole = || format!("{}\n", block.lines.join("\n"));
    let first = block.lines.first().copied().unwrap_or_default();
    let one = |what: What| Ok(vec![Step { line: block.line, what }]);
    match block.kind {
        "console" => console(block),
        "toml" => match first.strip_prefix("# /") {
            Some(path) => one(What::File { path: format!("/{path}"), text: whole() }),
            None => Err(format!("line {}: the first line must be `# /path/of/the/file`", block.line)),
        },
        "sql" => match first.strip_prefix("-- on ") {
            Some(server) => one(What::Sql { server: server.to_owned(), text: whole() }),
            None => Err(format!("line {}: the first line must be `-- on SERVER`", block.line)),
        },
        "crontab" => block
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#'))
            .map(|(index, line)| cron(block.line + 1 + index, line))
            .collect(),
        kind => Err(format!("line {}: nothing runs a block of {kind:?}", block.line)),
    }
}

fn cron(line: usize, text: &str) -> Result<Step, String> {
    let mut rest = text.trim_start();
    for _ in 0..5 {
        rest = rest.split_once(' ').ok_or_else(|| format!("line {line}: no five fields"))?.1.trim_start();
    }
    Ok(Step { line, what: What::Cron(rest.to_owned()) })
}

fn console(block: &Block<'_>) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for (index, line) in block.lines.iter().enumerate() {
        let number = block.line + 1 + index;
        let known = steps.last_mut().map(|step| &mut step.what);
        match (line.strip_prefix("$ "), known) {
            (Some(command), _) => {
                let what = What::Command { text: command.to_owned(), code: 0, shown: Vec::new() };
                steps.push(Step { line: number, what });
            }
            (None, Some(What::Command { text, code, shown })) => {
                if goes_on {
                    text.push('\n');
                    text.push_str(line);
                } else if let Some(word) = line.strip_prefix("? ").filter(|_| shown.is_empty()) {
                    *code = word.parse().map_err(|_| format!("line {number}: {word:?} is no exit code"))?;
                } else {
                    shown.push((*line).to_owned());
                }
            }
            _ => return Err(format!("line {number}: a console begins with `$ command`")),
        }
        goes_on = line.ends_with('\\') && (goes_on || line.starts_with("$ "));
    }
    Ok(steps)
}

/// Code spans of running text that begin with `paritas `, with their lines.
pub fn spans(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            let spans = line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("paritas "));
            found.extend(spans.map(|span| (index + 1, span.to_owned())));
        }
    }
    found
}

#[test]
fn steps_are_read_in_their_order_and_what_nothing_runs_is_an_error() {
    let page = "a\n<!-- stage: it fails -->\n```console\n$ paritas a \\\n  b\n? 1\nFAIL\n...\n$ true\n```\n```toml\n# /etc/a.toml\nx = 1\n```\n\
                ```sql\n-- on db-east\nSELECT 1;\n```\n```crontab\n# every minute\n* * * * * paritas run\n```\n";
    let steps = steps(page).unwrap();
    let what: Vec<&What> = steps.iter().map(|step| &step.what).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        what,
        [
            &What::Stage(text("it fails")),
            &What::Command { text: text("paritas a \\\n  b"), code: 1, shown: vec![text("FAIL"), text("...")] },
            &What::Command { text: text("true"), code: 0, shown: Vec::new() },
            &What::File { path: text("/etc/a.toml"), text: text("# /etc/a.toml\nx = 1\n") },
            &What::Sql { server: text("db-east"), text: text("-- on db-east\nSELECT 1;\n") },
            &What::Cron(text("paritas run")),
        ]
    );
    assert_eq!(steps[1].line, 4);
    for wrong in [
        "```sh\nparitas run\n```\n",
        "```\nparitas run\n```\n",
        "```toml\nx = 1\n```\n",
        "```console\nparitas run\n```\n",
        "```console\n$ a\n",
    ] {
        assert!(self::steps(wrong).is_err(), "{wrong}");
    }
    assert_eq!(spans("`paritas run` and `x`, `paritas lag`\n```console\n`paritas x`\n```\n").len(), 2);
}
