//! A picture in text: the master above, and a cluster with its member below each line.

/// The lines of each box.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The master's box.
    pub master: Vec<String>,
    /// A box for each worker.
    pub workers: Vec<Vec<String>>,
}

const GAP: usize = 2;

impl Picture {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> String {
        // Boxes of one width hang evenly.
        let widest = self.workers.iter().map(|lines| width(lines)).max().unwrap_or_default();
        let widths = vec![widest | 1; self.workers.len()];
        let outer: Vec<_> = widths.iter().map(|width| width + 4).collect();
        let total = outer.iter().sum::<usize>() + GAP * outer.len().saturating_sub(1);
        let mut at = 0;
        let middles: Vec<_> = outer
            .iter()
            .map(|width| {
                let middle = at + width / 2;
                at += width + GAP;
                middle
            })
            .collect();
        let inner = width(&self.master) | 1;
        let indent = total.saturating_sub(inner + 4) / 2;
        let trunk = total / 2;
        let mut rows = vec![];
        let indented = |line: String| format!("{}{line}", " ".repeat(indent));
        rows.push(indented(format!("┌{}┐", "─".repeat(inner + 2))));
        rows.extend(self.master.iter().map(|line| indented(format!("│ {} │", pad(line, inner)))));
        rows.push(indented(edge(inner + 2, trunk.checked_sub(indent + 1), '└', '┬', '┘')));
        rows.push(branches(&middles, trunk));
        rows.push(row(&widths, &middles, |number, width, middle| {
            let before: usize = outer[..number].iter().map(|width| width + GAP).sum();
            edge(width + 2, middle.checked_sub(before + 1), '┌', '┴', '┐')
        }));
        let height = self.workers.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            rows.push(row(&widths, &middles, |number, width, _| {
                let text = self.workers[number].get(line).map_or("", String::as_str);
                format!("│ {} │", pad(text, width))
            }));
        }
        rows.push(row(&widths, &middles, |_, width, _| format!("└{}┘", "─".repeat(width + 2))));
        rows.join("\n")
    }
}

fn row(widths: &[usize], middles: &[usize], draw: impl Fn(usize, usize, usize) -> String) -> String {
    let boxes = widths.iter().zip(middles).enumerate();
    boxes.map(|(number, (width, middle))| draw(number, *width, *middle)).collect::<Vec<_>>().join(&" ".repeat(GAP))
}

/// A horizontal edge with a joint in it.
fn edge(length: usize, joint: Option<usize>, left: char, tee: char, right: char) -> String {
    let line = (0..length).map(|at| if Some(at) == joint { tee } else { '─' });
    std::iter::once(left).chain(line).chain(std::iter::once(right)).collect()
}

/// The line from the trunk to every middle.
fn branches(middles: &[usize], trunk: usize) -> String {
    let first = middles.iter().copied().chain([trunk]).min().unwrap_or_default();
    let last = middles.iter().copied().chain([trunk]).max().unwrap_or_default();
    let glyph = |at: usize| {
        let (up, down) = (at == trunk, middles.contains(&at));
        let (left, right) = (at > first, at < last);
        match (up, down, left, right) {
            (true, true, true, true) => '┼',
            (true, true, false, true) => '├',
            (true, true, true, false) => '┤',
            (true, true, false, false) => '│',
            (true, false, true, true) => '┴',
            (true, false, false, _) => '└',
            (true, false, true, false) => '┘',
            (false, true, true, true) => '┬',
            (false, true, false, _) => '┌',
            (false, true, true, false) => '┐',
            (false, false, ..) if at >= first => '─',
            _ => ' ',
        }
    };
    (0..=last).map(|at| if at < first { ' ' } else { glyph(at) }).collect()
}

fn width(lines: &[String]) -> usize {
    lines.iter().map(|line| line.chars().count()).max().unwrap_or_default()
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_hangs_from_the_master() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let picture = Picture { master: lines("master"), workers: vec![lines("a\n1"), lines("b"), lines("c")] };
        let text = picture.draw();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows.len(), 8, "{text}");
        assert!(rows[2].contains('┬') && rows[3].contains('┌') && rows[3].contains('┐'), "{text}");
        assert_eq!(rows[4].matches('┴').count(), 3, "{text}");
        assert_eq!(rows[5].trim_end(), "│ a │  │ b │  │ c │", "{text}");
        assert_eq!(rows[6], "│ 1 │  │   │  │   │", "{text}");
    }
}
