//! `sncn-sentiment show`: which tokens of a text the SelfNorm gates turn up or down, as a page for a browser.
//!
//! A gate scales the spread of every embedding dimension and moves its mean, so a token's vector becomes shorter or longer by the
//! dimensions it is strong in. Shown is the length after the gate over the length before, against the text's own mean of that.

use super::lines::Lines;
use super::model::Sentiment;
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};
use sncn_core::Pass;
use sncn_train::files::write_atomically;
use sncn_train::harness::saved::Saved;
use sncn_train::harness::{Trained, cli};
use sncn_train::predict::argmax;
use std::fmt::Write;
use std::path::PathBuf;

/// Show which tokens the SelfNorm gates turn up or down: a text a line in, an HTML page out.
#[derive(clap::Args, Debug)]
pub struct Show {
    #[command(flatten)]
    saved: Saved,
    /// The page to write.
    #[arg(long, default_value = "gates.html")]
    output: PathBuf,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    lines: Lines,
}

/// What the layers at one place do to a text's tokens.
#[derive(Debug)]
struct Gated {
    place: String,
    /// Lengths of the tokens' vectors, after over before.
    ratios: Vec<f64>,
}

impl Show {
    /// Runs the command.
    ///
    /// # Errors
    /// If the network has no SelfNorm, there is no text, or the page cannot be written.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let trained = Trained::<Sentiment>::read(&self.saved)?;
        let Trained { header, run, model, .. } = &trained;
        let at: Vec<&str> = run.layers.iter().filter(|layer| layer.kind == "selfnorm").map(|layer| layer.at.as_str()).collect();
        ensure!(!at.is_empty(), "run {:?} has no selfnorm layer, so there is no gate to show; choose a row with one", run.name);
        let (mut body, mut count) = (String::new(), 0);
        self.lines.each(|text| {
            let (input, ids) = model.encode(text)?;
            let mut places = Vec::new();
            let scores = model.network.watched(&input, &Pass::eval(), &mut |spot, around| {
                if at.contains(&spot.position) {
                    let stage = if spot.stage == 0 { String::new() } else { format!(", layer {}", spot.stage) };
                    let (xs, ys) = around()?;
                    places.push(Gated { place: format!("{}{stage}", spot.position), ratios: ratios(&xs, &ys, ids.len())? });
                }
                Ok(())
            })?;
            let row = model.probabilities(&scores)?;
            let class = argmax(&row);
            let tokens: Vec<String> = ids.iter().map(|&id| model.vocabulary.token(id).unwrap_or_default()).collect();
            let label = header.classes.get(class).map_or("", String::as_str);
            count += 1;
            body += &section(count, &tokens, label, row[class], &places)?;
            Ok(())
        })?;
        ensure!(count > 0, "no text: give a file with a text a line, or texts on standard input");
        let title = format!("Gates of {}", escaped(&run.name));
        write_atomically(&self.output, page(&title, &body).as_bytes())?;
        out!("{}: {count} text{}", self.output.display(), if count == 1 { "" } else { "s" });
        Ok(())
    }
}

/// How much longer the first `count` vectors of (1, L, C) become.
fn ratios(before: &Tensor, after: &Tensor, count: usize) -> candle_core::Result<Vec<f64>> {
    let lengths = |xs: &Tensor| xs.detach().to_dtype(DType::F64)?.sqr()?.sum(2)?.sqrt()?.squeeze(0)?.to_vec1::<f64>();
    let (before, after) = (lengths(before)?, lengths(after)?);
    // a vector of nothing stays one
    let ratio = |(before, after): (&f64, &f64)| if *before > 0. { after / before } else { 1. };
    Ok(before.iter().zip(&after).take(count).map(ratio).collect())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text with a line of coloured tokens for every position.
fn section(number: usize, tokens: &[String], label: &str, probability: f64, places: &[Gated]) -> Result<String> {
    let mut html = format!("<section><h2>Text {number}: {} ({:.1} %)</h2>\n", escaped(label), 100. * probability);
    for Gated { place, ratios } in places {
        let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.max(1e-12).log2()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let most = logs.iter().map(|log| (log - mean).abs()).fold(0., f64::max).max(1e-9);
        write!(
            html,
            "<h3>{} <small>on average × {:.3}, at most {:.0} % more or less than that</small></h3>\n<p>",
            escaped(place),
            mean.exp2(),
            100. * (most.exp2() - 1.)
        )?;
        for ((token, log), ratio) in tokens.iter().zip(&logs).zip(ratios) {
            let part = (log - mean) / most;
            let colour = if part > 0. { "211, 84, 0" } else { "41, 98, 179" };
            write!(
                html,
                "<span style=\"background: rgba({colour}, {:.2})\" title=\"× {ratio:.3}\">{}</span> ",
                part.abs() * 0.75,
                escaped(token)
            )?;
        }
        html += "</p>\n";
    }
    Ok(html + "</section>\n")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>
body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff; }}
h2 {{ font-size: 1.1em; margin-top: 2em; }} h3 {{ font-size: 1em; margin-bottom: 0; }} small {{ font-weight: normal; color: #666; }}
span {{ padding: 0.1em 0.15em; border-radius: 0.2em; }} p {{ margin-top: 0.3em; }}
</style></head><body>\n<h1>{title}</h1>
<p>A SelfNorm gate re-weights the mean and the standard deviation of every embedding dimension over a text's tokens. Colours show what that does to
a token's vector against the text's average: <span style=\"background: rgba(211, 84, 0, 0.75)\">longer</span>
<span style=\"background: rgba(41, 98, 179, 0.75)\">shorter</span>, from white to the strongest of the text; the exact factor shows when
the pointer rests on a token.</p>\n{body}</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn lengths_are_compared_and_tokens_escaped() -> Result<()> {
        let (before, after) = (
            Tensor::new(&[[[3f32, 4.], [0., 0.], [1., 0.]]], &Device::Cpu)?,
            Tensor::new(&[[[6f32, 8.], [0., 0.], [0.5, 0.]]], &Device::Cpu)?,
        );
        let found = ratios(&before, &after, 3)?;
        assert_eq!(found, [2., 1., 0.5]);
        let tokens = ["<b>", "&", "x"].map(str::to_string);
        let html = section(1, &tokens, "positive", 0.9, &[Gated { place: "sum, layer 1".to_string(), ratios: found }])?;
        assert!(html.contains("rgba(211, 84, 0, 0.75)\" title=\"× 2.000\">&lt;b&gt;</span>"), "{html}");
        assert!(html.contains("rgba(41, 98, 179, 0.00)\" title=\"× 1.000\">&amp;</span>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("rgba(41, 98, 179, 0.75)\" title=\"× 0.500\">x</span>"), "{html}");
        Ok(())
    }
}
