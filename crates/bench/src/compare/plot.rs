//! Ratios as a picture: one line for each figure, on a scale of powers of two.

use std::fmt::Write as _;

use super::ratio::{Compared, Ratio};

/// Pixels of the parts of the picture.
const NAMES: f64 = 360.0;
const SCALE: f64 = 560.0;
const ROW: f64 = 24.0;
const HEAD: f64 = 56.0;
const MARGIN: f64 = 20.0;

/// An SVG of how B is to A, with each figure's spread.
pub(super) fn ratios(title: &str, compared: &[Compared]) -> String {
    let shown: Vec<(&str, Ratio)> = compared
        .iter()
        .filter_map(|figure| Some((figure.name.as_str(), figure.ratio?)))
        .filter(|(_, ratio)| ratio.least > 0.0)
        .collect();
    let reach = |ratio: &Ratio| ratio.least.log2().abs().max(ratio.most.log2().abs());
    let reach = shown
        .iter()
        .map(|(_, ratio)| reach(ratio))
        .fold(1.0, f64::max)
        .ceil();
    let x = |ratio: f64| NAMES + SCALE / 2.0 * (1.0 + ratio.log2() / reach);
    let rows = u32::try_from(shown.len()).map_or(0.0, f64::from);
    let (width, height) = (NAMES + SCALE + MARGIN, HEAD + rows * ROW + MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\" font-weight=\"bold\">{}: B to A</text>\n",
        escaped(title)
    );
    let mut power = -reach;
    while power <= reach {
        let ratio = power.exp2();
        let (at, end) = (x(ratio), height - MARGIN);
        let stroke = if power == 0.0 { "black" } else { "#ddd" };
        // Writing to a text does not fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{HEAD}\" x2=\"{at:.1}\" y2=\"{end}\" stroke=\"{stroke}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEAD - 6.0,
            tick(ratio)
        );
        power += (reach / 4.0).ceil();
    }
    for ((name, ratio), row) in shown.iter().zip(0_u32..) {
        let middle = HEAD + (f64::from(row) + 0.5) * ROW;
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\
             <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"#4477aa\" stroke-width=\"2\"/>\
             <circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"#4477aa\"><title>{:.3}</title></circle>",
            middle + 4.0,
            escaped(name),
            x(ratio.least),
            x(ratio.most),
            x(ratio.median),
            ratio.median
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// As `4×` or `1/4`.
fn tick(ratio: f64) -> String {
    if ratio < 1.0 {
        format!("1/{:.0}", 1.0 / ratio)
    } else {
        format!("{ratio:.0}×")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_with_a_ratio_is_drawn_within_the_picture() {
        let figure = |name: &str, median: f64| Compared {
            name: name.to_owned(),
            a: 1.0,
            b: median,
            ratio: (median > 0.0).then_some(Ratio {
                median,
                least: median / 2.0,
                most: median * 2.0,
            }),
        };
        let svg = ratios(
            "a < b",
            &[
                figure("fast", 0.125),
                figure("slow", 3.0),
                figure("none", 0.0),
            ],
        );
        assert!(svg.contains("a &lt; b") && svg.contains(">fast<") && svg.contains(">slow<"));
        assert!(!svg.contains("none"));
        assert_eq!(svg.matches("<circle").count(), 2);
        let within = |text: &str| {
            text.parse::<f64>()
                .is_ok_and(|x| (NAMES..=NAMES + SCALE).contains(&x))
        };
        let centres = svg
            .split("cx=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        assert!(centres.clone().all(within), "{svg}");
    }
}
