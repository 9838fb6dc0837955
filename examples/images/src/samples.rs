//! Sample images: made, so that nobody's licence has to be asked for.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels become coordinates and shades become bytes, all far within both"
)]

use std::f32::consts::TAU;
use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, Rgb, RgbImage};

const WIDTH: u16 = 320;
const HEIGHT: u16 = 240;
const JPEG_QUALITY: u8 = 90;

/// Makes a folder and so many images in it, PNG and JPEG in turn.
///
/// # Errors
/// When a file cannot be written.
pub fn make(folder: &Path, count: u16) -> Result<(), ImageError> {
    fs::create_dir_all(folder)?;
    for number in 1..=count {
        let image = DynamicImage::ImageRgb8(waves(number));
        if number % 2 == 1 {
            image.save(folder.join(format!("sample-{number:03}.png")))?;
        } else {
            let path = folder.join(format!("sample-{number:03}.jpg"));
            let file = fs::File::create(path)?;
            image.write_with_encoder(JpegEncoder::new_with_quality(file, JPEG_QUALITY))?;
        }
    }
    Ok(())
}

/// Circular waves around two places, other colours for each number.
fn waves(number: u16) -> RgbImage {
    let turn = f32::from(number) * 0.618_034;
    RgbImage::from_fn(WIDTH.into(), HEIGHT.into(), |x, y| {
        let near = waves_from(x, y, (0.3 + 0.2 * (turn * TAU).sin(), 0.4));
        let far = waves_from(x, y, (0.8, 0.5 + 0.3 * (turn * TAU).cos()));
        let shade = |phase: f32| {
            let level = (((near + far) / 4.0 + turn + phase) * TAU).sin();
            (127.5 + 127.5 * level) as u8
        };
        Rgb([shade(0.0), shade(0.33), shade(0.67)])
    })
}

/// How high the waves around a place are at another, from -1 to 1.
fn waves_from(x: u32, y: u32, (left, top): (f32, f32)) -> f32 {
    let part = |at: u32, of: u16| at as f32 / f32::from(of);
    let distance = (part(x, WIDTH) - left).hypot(part(y, HEIGHT) - top);
    (distance * 11.0).sin()
}
