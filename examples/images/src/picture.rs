//! Inverting the colours of one image.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader};

use crate::limits::MAX_DECODED;

/// How well JPEGs are written, of 100: hardly any loss to be seen.
const JPEG_QUALITY: u8 = 95;

/// Why the colours of something cannot be inverted.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It begins like no image.
    #[error("it is neither PNG nor JPEG")]
    NoImage,
    /// It begins like an image, but is none, or of another format.
    #[error("it cannot be read: {0}")]
    Broken(#[from] ImageError),
    /// It would not fit into memory.
    #[error("it has {0} bytes without compression, and {MAX_DECODED} are the most")]
    TooLarge(u64),
}

/// The image with inverted colours, in the format that it came in. What is transparent stays so, and an
/// image that is to be shown turned comes out turned.
///
/// # Errors
/// [`Unreadable`], for good: another try would not change it.
pub fn invert(encoded: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let reader = ImageReader::new(Cursor::new(encoded))
        .with_guessed_format()
        .map_err(ImageError::IoError)?;
    let format = reader.format().ok_or(Unreadable::NoImage)?;
    let mut decoder = reader.into_decoder()?;
    if decoder.total_bytes() > MAX_DECODED {
        return Err(Unreadable::TooLarge(decoder.total_bytes()));
    }
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    image.invert();
    let mut inverted = Cursor::new(Vec::new());
    if format == ImageFormat::Jpeg {
        image.write_with_encoder(JpegEncoder::new_with_quality(&mut inverted, JPEG_QUALITY))?;
    } else {
        image.write_to(&mut inverted, format)?;
    }
    Ok(inverted.into_inner())
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Luma, RgbaImage};

    use super::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut encoded = Cursor::new(Vec::new());
        image.write_to(&mut encoded, format).unwrap();
        encoded.into_inner()
    }

    #[test]
    fn colours_are_inverted_to_the_bit_and_transparency_stays() {
        let pixels = RgbaImage::from_raw(2, 1, vec![0, 100, 200, 7, 255, 1, 2, 255]).unwrap();
        let png = encoded(&pixels.into(), ImageFormat::Png);
        let inverted = image::load_from_memory(&invert(&png).unwrap()).unwrap();
        let expected = vec![255, 155, 55, 7, 0, 254, 253, 255];
        let expected = RgbaImage::from_raw(2, 1, expected).unwrap();
        assert_eq!(inverted, DynamicImage::ImageRgba8(expected));
    }

    #[test]
    fn deep_colours_stay_deep() {
        let pixels = ImageBuffer::from_pixel(2, 2, Luma([1_000_u16]));
        let png = encoded(&DynamicImage::ImageLuma16(pixels), ImageFormat::Png);
        let inverted = image::load_from_memory(&invert(&png).unwrap()).unwrap();
        let expected = ImageBuffer::from_pixel(2, 2, Luma([64_535_u16]));
        assert_eq!(inverted, DynamicImage::ImageLuma16(expected));
    }

    #[test]
    fn a_jpeg_stays_a_jpeg() {
        let pixels = ImageBuffer::from_pixel(16, 16, image::Rgb([255, 0, 0]));
        let jpeg = encoded(&DynamicImage::ImageRgb8(pixels), ImageFormat::Jpeg);
        let inverted = invert(&jpeg).unwrap();
        assert_eq!(image::guess_format(&inverted).unwrap(), ImageFormat::Jpeg);
        let image::Rgb([red, green, blue]) = *image::load_from_memory(&inverted)
            .unwrap()
            .to_rgb8()
            .get_pixel(8, 8);
        assert!(red < 5 && green > 250 && blue > 250, "{red} {green} {blue}");
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let png = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Png);
        let sentence = |bytes: &[u8]| invert(bytes).unwrap_err().to_string();
        assert_eq!(sentence(b"a poem"), "it is neither PNG nor JPEG");
        assert!(sentence(&png[..png.len() / 2]).starts_with("it cannot be read: "));
        assert!(sentence(b"GIF89a").starts_with("it cannot be read: "));
    }

    #[test]
    fn a_small_file_of_a_very_large_image_is_refused_before_it_takes_memory() {
        let mut png = encoded(&DynamicImage::new_rgb8(1, 1), ImageFormat::Png);
        // Width and height are the first fields of the first chunk, behind which comes its checksum.
        png[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = invert(&png).unwrap_err();
        assert!(
            matches!(error, Unreadable::TooLarge(3_221_225_472)),
            "{error}"
        );
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| {
                (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
