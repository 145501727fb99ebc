//! Markup that cannot be broken out of: what is written as it is was written by us, everything else is escaped.

use crate::text::is_hostile;

/// Characters of one text that are written; names and messages have no business being longer.
const TEXT_MAX: usize = 4_096;

/// Lines of one text.
const LINES_MAX: usize = 200;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Words.
    Text(&'static str),
    /// Figures, aligned to the right.
    Number(&'static str),
}

/// A growing page.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Markup of our own. Only what stands in the program can be handed over.
    pub(super) fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Another piece of a page.
    pub(super) fn append(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// Any text. Characters that would not be seen, or would turn the reading direction, are written out and marked.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars().take(TEXT_MAX) {
            if is_hostile(c) {
                self.0.push_str("<i class=x>");
                self.0.extend(c.escape_default());
                self.0.push_str("</i>");
            } else {
                self.character(c);
            }
        }
        if text.len() > TEXT_MAX && text.chars().nth(TEXT_MAX).is_some() {
            self.raw("<i class=cut>…</i>");
        }
        self
    }

    /// A text of several lines, which stay lines.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        for (number, line) in text.trim_end().split('\n').take(LINES_MAX).enumerate() {
            if number > 0 {
                self.raw("\n");
            }
            self.text(line.trim_end_matches('\r'));
        }
        self
    }

    fn character(&mut self, c: char) {
        match c {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            other => self.0.push(other),
        }
    }

    /// Begins an element.
    pub(super) fn open(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) -> &mut Self {
        self.raw("<").raw(tag);
        for (name, value) in attributes {
            self.raw(" ").raw(name).raw("=\"");
            for c in value.chars().take(TEXT_MAX) {
                if is_hostile(c) { self.0.extend(c.escape_default()) } else { self.character(c) }
            }
            self.raw("\"");
        }
        self.raw(">")
    }

    /// A shape of a drawing through these points, all of them: numbers of ours are not cut as texts are.
    pub(super) fn shape(
        &mut self,
        tag: &'static str,
        class: &'static str,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> &mut Self {
        self.raw("<").raw(tag).raw(" class=\"").raw(class).raw("\" points=\"");
        for (number, (x, y)) in points.enumerate() {
            let space = if number > 0 { " " } else { "" };
            self.0.push_str(&format!("{space}{x:.1},{y:.1}"));
        }
        self.raw("\">").close(tag)
    }

    /// Ends an element.
    pub(super) fn close(&mut self, tag: &'static str) -> &mut Self {
        self.raw("</").raw(tag).raw(">")
    }

    /// An element with a text.
    pub(super) fn element(&mut self, tag: &'static str, class: &str, text: &str) -> &mut Self {
        let class = ("class", class);
        let attributes = [class];
        let some = if class.1.is_empty() { &[][..] } else { &attributes[..] };
        self.open(tag, some).text(text).close(tag)
    }

    /// A cell with a text.
    pub(super) fn cell(&mut self, text: &str) -> &mut Self {
        self.element("td", "", text)
    }

    /// A cell with a name, not to be broken where it does not have to.
    pub(super) fn name(&mut self, text: &str) -> &mut Self {
        self.open("th", &[("scope", "row")]).element("code", "", text).close("th")
    }

    /// A cell with a figure.
    pub(super) fn number(&mut self, text: &str) -> &mut Self {
        self.element("td", "n", text)
    }

    /// A cell with a count of something bad: nothing is dim, something is not.
    pub(super) fn count(&mut self, count: u64, class: &'static str) -> &mut Self {
        let class = if count == 0 { "n zero" } else { class };
        self.element("td", class, &crate::text::grouped(count))
    }

    /// Begins a table with a caption and a head; it ends with [`Markup::end_table`].
    pub(super) fn table(&mut self, caption: &str, columns: &[Column]) -> &mut Self {
        self.open("div", &[("class", "wide"), ("role", "region"), ("aria-label", caption), ("tabindex", "0")]);
        self.raw("<table>").element("caption", "", caption).raw("<thead><tr>");
        for column in columns {
            match column {
                Column::Text(title) => self.raw("<th scope=col>").raw(title).raw("</th>"),
                Column::Number(title) => self.raw("<th scope=col class=n>").raw(title).raw("</th>"),
            };
        }
        self.raw("</tr></thead><tbody>")
    }

    /// Ends a table.
    pub(super) fn end_table(&mut self) -> &mut Self {
        self.raw("</tbody></table></div>\n")
    }

    /// The page so far.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_becomes_markup_and_nothing_of_it_is_invisible() {
        let mut page = Markup::default();
        page.text("<b>&\"'\u{202e}\u{1b}\n");
        assert_eq!(
            page.as_str(),
            "&lt;b&gt;&amp;&quot;&#39;<i class=x>\\u{202e}</i><i class=x>\\u{1b}</i><i class=x>\\n</i>"
        );
        let mut page = Markup::default();
        page.open("a", &[("title", "\" onclick='x\u{0}'>")]);
        assert_eq!(page.as_str(), "<a title=\"&quot; onclick=&#39;x\\u{0}&#39;&gt;\">");
    }

    #[test]
    fn lines_stay_lines() {
        let mut page = Markup::default();
        page.lines("a\r\nb\tc\n");
        assert_eq!(page.as_str(), "a\nb<i class=x>\\t</i>c");
    }
}
