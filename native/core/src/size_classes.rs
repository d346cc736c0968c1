//! Size classes of zsmalloc: how a length finds its class, and how classes are cut into zspages.
//!
//! Covers: the kernel's present rules (Linux mm/zsmalloc.c): 255 raw sizes in steps of 16 bytes,
//! zspage length by least waste, merging, the huge watermark. Pure arithmetic, no state. Does not
//! cover: memory (`mapping.rs`), allocation (`zsmalloc.rs`). The twin of zcache/size_classes.py.

/// Bytes of a frame, and of a page.
pub const FRAME_BYTES: usize = 4096;

/// The word in front of every object of a class that is not huge; it names the object's owner.
pub const HANDLE_BYTES: usize = 8;

/// Fullness bands of zspages: empty, ten steps of ten per cent, full.
pub const BANDS: usize = 12;

const SIZE_MIN: usize = 32;
const SIZE_STEP: usize = 16;
const RAW_CLASSES: usize = (FRAME_BYTES - SIZE_MIN) / SIZE_STEP + 1;

/// One class after merging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeClass {
    /// Bytes a slot, the handle word included; a multiple of 16.
    pub size: u16,
    /// Slots a zspage; at most 256.
    pub objects: u16,
    /// Frames a zspage; 1..=16.
    pub frames: u8,
    /// One slot that is one frame, without a handle word.
    pub huge: bool,
}

/// The zspage length, in frames, that wastes least at its end; the shortest of equals.
///
/// A power of two divides a frame and takes one.
pub fn zspage_frames(size: usize, chain_frames_max: usize) -> usize {
    if size.is_power_of_two() {
        return 1;
    }
    // `min_by_key` returns the first of equals.
    (1..=chain_frames_max)
        .min_by_key(|frames| frames * FRAME_BYTES % size)
        .unwrap_or(1)
}

/// All classes for one longest zspage.
#[derive(Clone, Debug)]
pub struct SizeClassTable {
    /// Ascending by size; a class's number is its position. The last one is the huge class.
    pub classes: Vec<SizeClass>,
    /// Blobs of at least this many bytes are better stored as whole pages (what zram compares
    /// with; 7 bytes below the huge watermark).
    pub huge_length: usize,
    class_of_length: Box<[u8; FRAME_BYTES + 1]>,
}

impl SizeClassTable {
    /// The table for zspages of at most `chain_frames_max` frames.
    ///
    /// Panics unless that is 4..=16, the kernel's range.
    pub fn new(chain_frames_max: usize) -> Self {
        assert!(
            (4..=16).contains(&chain_frames_max),
            "a longest zspage of 4 to 16 frames"
        );
        let mut classes: Vec<SizeClass> = Vec::new(); // from the largest
        let mut merged_into = Vec::new(); // raw class, from the largest -> position in `classes`
        let mut watermark = 0;
        for raw in (0..RAW_CLASSES).rev() {
            let size = SIZE_MIN + raw * SIZE_STEP;
            let frames = zspage_frames(size, chain_frames_max);
            let objects = frames * FRAME_BYTES / size;
            let kept = classes
                .last()
                .map(|c| (usize::from(c.frames), usize::from(c.objects)));
            if kept != Some((frames, objects)) {
                classes.push(SizeClass {
                    size: size as u16,
                    objects: objects as u16,
                    frames: frames as u8,
                    huge: (frames, objects) == (1, 1),
                });
            }
            merged_into.push(classes.len() - 1);
            if watermark == 0 && frames != 1 && objects != 1 {
                watermark = size;
            }
        }
        let last = classes.len() - 1;
        classes.reverse();
        merged_into.reverse();
        let mut class_of_length = Box::new([0; FRAME_BYTES + 1]);
        for (length, class) in class_of_length.iter_mut().enumerate() {
            *class = (last - merged_into[raw_class(length)]) as u8;
        }
        Self {
            classes,
            huge_length: watermark - (HANDLE_BYTES - 1),
            class_of_length,
        }
    }

    /// Number of the class of blobs of that length. Panics above 4096.
    #[inline]
    pub fn class_of(&self, length: usize) -> usize {
        usize::from(self.class_of_length[length])
    }

    /// Number of the huge class.
    pub fn huge_class(&self) -> usize {
        self.classes.len() - 1
    }

    /// Bytes that the table takes on the heap.
    pub fn metadata_bytes(&self) -> usize {
        self.classes.capacity() * size_of::<SizeClass>() + self.class_of_length.len()
    }
}

fn raw_class(length: usize) -> usize {
    (length + HANDLE_BYTES)
        .saturating_sub(SIZE_MIN)
        .div_ceil(SIZE_STEP)
        .min(RAW_CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest zspage, classes, huge watermark.
    const KERNEL: [(usize, usize, usize); 13] = [
        (4, 69, 3264),
        (5, 86, 3408),
        (6, 94, 3504),
        (7, 110, 3584),
        (8, 119, 3632),
        (9, 136, 3680),
        (10, 141, 3712),
        (11, 153, 3744),
        (12, 159, 3776),
        (13, 173, 3792),
        (14, 179, 3808),
        (15, 186, 3840),
        (16, 192, 3840),
    ];

    #[test]
    fn there_are_as_many_classes_as_the_kernels_rule_makes() {
        for (chain, classes, _) in KERNEL {
            assert_eq!(SizeClassTable::new(chain).classes.len(), classes);
        }
    }

    #[test]
    fn every_length_has_the_smallest_class_that_holds_it() {
        for (chain, ..) in KERNEL {
            let table = SizeClassTable::new(chain);
            for length in 1..=FRAME_BYTES {
                let class = table.class_of(length);
                let size = usize::from(table.classes[class].size);
                assert!(table.classes[class].huge || size >= length + HANDLE_BYTES);
                if class > 0 {
                    assert!(usize::from(table.classes[class - 1].size) < length + HANDLE_BYTES);
                }
            }
        }
    }

    #[test]
    fn the_huge_watermark_is_the_kernels() {
        for (chain, _, watermark) in KERNEL {
            let table = SizeClassTable::new(chain);
            assert_eq!(table.huge_length, watermark - 7);
            assert!(!table.classes[table.class_of(table.huge_length - 1)].huge);
            assert!(table.classes[table.class_of(table.huge_length)].huge);
        }
    }

    #[test]
    fn a_zspage_is_the_shortest_of_those_that_waste_least() {
        for (chain, ..) in KERNEL {
            for size in (SIZE_MIN..=FRAME_BYTES).step_by(SIZE_STEP) {
                let best = (1..=chain).map(|frames| frames * FRAME_BYTES % size).min();
                let wanted = (1..=chain).find(|frames| Some(frames * FRAME_BYTES % size) == best);
                let wanted = if size.is_power_of_two() {
                    Some(1)
                } else {
                    wanted
                };
                assert_eq!(Some(zspage_frames(size, chain)), wanted);
            }
        }
    }

    #[test]
    fn classes_tile_their_zspages() {
        for (chain, ..) in KERNEL {
            for class in SizeClassTable::new(chain).classes {
                let (size, frames) = (usize::from(class.size), usize::from(class.frames));
                assert_eq!(usize::from(class.objects), frames * FRAME_BYTES / size);
                assert!(class.objects <= 256);
                assert!(frames <= chain);
                assert_eq!(size % 16, 0);
                assert_eq!(class.huge, size == FRAME_BYTES);
            }
        }
    }

    #[test]
    fn the_documented_example_holds() {
        let table = SizeClassTable::new(4);
        let class = table.classes[table.class_of(1560)];
        assert_eq!((class.size, class.frames, class.objects), (1632, 2, 5));
        let table = SizeClassTable::new(5);
        let class = table.classes[table.class_of(1560)];
        assert_eq!((class.size, class.frames, class.objects), (1568, 5, 13));
    }
}
