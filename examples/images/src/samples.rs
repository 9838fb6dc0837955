//! Sample images: made, so that nobody's licence has to be asked for.

use std::f32::consts::TAU;
use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, Rgb, RgbImage};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
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

/// Circular waves from two places, another colour for each number.
fn waves(number: u16) -> RgbImage {
    let turn = f32::from(number) * 0.618_034;
    let from = |x: u32, y: u32, (left, top): (f32, f32)| {
        let (x, y) = (x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
        (x - left).hypot(y - top)
    };
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let first = from(x, y, (0.3 + 0.2 * (turn * TAU).sin(), 0.4));
        let second = from(x, y, (0.8, 0.5 + 0.3 * (turn * TAU).cos()));
        let height = (first * 9.0).sin() + (second * 13.0).sin();
        let shade = |phase: f32| {
            let level = ((height / 4.0 + turn + phase) * TAU).sin();
            (127.5 + 127.5 * level) as u8
        };
        Rgb([shade(0.0), shade(0.33), shade(0.67)])
    })
}
