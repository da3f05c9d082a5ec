//! An array in a file, read in place.

use super::{fortran, layout::Layout, npy, npz, safetensors_file};
use crate::{Split, error::DataError};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

/// The kinds of file, by the ending of their names.
pub(crate) const ENDINGS: [&str; 3] = ["npy", "npz", "safetensors"];

/// Bytes that are read at once when a whole file is.
const PIECE: usize = 1 << 20;

/// Which rows the files of an array hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those of a split.
    Of(Split),
    /// Those for validation.
    Validation,
}

impl From<Split> for Part {
    fn from(split: Split) -> Self {
        Part::Of(split)
    }
}

impl Part {
    pub(crate) const ALL: [Part; 3] = [Part::Of(Split::Train), Part::Of(Split::Test), Part::Validation];

    /// What stands for it in names of files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Part::Of(Split::Train) => "train",
            Part::Of(Split::Test) => "test",
            Part::Validation => "validation",
        }
    }

    /// The index that addresses this part's draws.
    pub(crate) fn index(self) -> u64 {
        match self {
            Part::Of(split) => split.index(),
            Part::Validation => 2,
        }
    }

    /// The epoch of its draws, where training has none of them.
    pub(crate) fn epoch(self) -> u64 {
        match self {
            Part::Of(split) => crate::view::epoch_of(split),
            Part::Validation => 0,
        }
    }
}

/// An open file with an array. Of its values none are kept: a row is read where it lies, and what the system's page
/// cache holds of the file is all the memory that it takes.
pub(crate) struct ArrayFile {
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    file: File,
    /// Of an archive: which of its members.
    member: Option<usize>,
    /// From when they are first read: what is packed or in Fortran order is unpacked only after its shape has been
    /// checked.
    values: OnceLock<Values>,
    unpacking: Mutex<()>,
    /// A buffer for the next row that is read.
    row: Mutex<(Vec<u8>, Vec<f64>)>,
}

/// Where the rows lie one after the other.
struct Values {
    file: File,
    start: u64,
}

impl ArrayFile {
    /// Opens the file of numbers of an array and a split in a folder, and checks its head.
    pub(crate) fn open(folder: &Path, name: &str, part: impl Into<Part>) -> Result<Self, DataError> {
        let file = Self::open_task(folder, name, part)?;
        match file.layout.element.kind.is_text() {
            false => Ok(file),
            true => Err(file.malformed("holds texts, which only a task can have: save numbers")),
        }
    }

    /// The same of a task, which may have texts.
    pub(crate) fn open_task(folder: &Path, name: &str, part: impl Into<Part>) -> Result<Self, DataError> {
        Self::open_path(find(folder, name, part.into())?, name)
    }

    /// Opens a file, and checks its head.
    pub(crate) fn open_path(path: PathBuf, name: &str) -> Result<Self, DataError> {
        let file = File::open(&path).map_err(|source| DataError::io(&path, source))?;
        let length = file.metadata().map_err(|source| DataError::io(&path, source))?.len();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let found = locate(ending, BufReader::new(&file), length, name);
        let (layout, member) = found.map_err(|problem| DataError::malformed(&path, problem))?;
        Ok(ArrayFile {
            path,
            layout,
            file,
            member,
            values: OnceLock::new(),
            unpacking: Mutex::default(),
            row: Mutex::default(),
        })
    }

    /// The rows, unpacked if they have to be.
    fn values(&self) -> Result<&Values, DataError> {
        // The file has one position for whoever unpacks.
        let _alone = self.unpacking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(values) = self.values.get() {
            return Ok(values);
        }
        let (unpacked, start) = match self.member {
            None => (None, self.layout.start),
            Some(member) => npz::unpack(BufReader::new(&self.file), member, &self.layout)
                .map_err(|problem| self.malformed(problem))?,
        };
        let file = match unpacked {
            Some(file) => file,
            None => self.file.try_clone().map_err(|source| DataError::io(&self.path, source))?,
        };
        let values = match self.layout.is_fortran {
            false => Values { file, start },
            true => Values {
                file: fortran::turned(&self.layout, start, &file).map_err(|source| {
                    self.malformed(format!(
                        "cannot be turned from Fortran order ({source}): see that TMPDIR has room, or save \
                         numpy.ascontiguousarray(array)"
                    ))
                })?,
                start: 0,
            },
        };
        Ok(self.values.get_or_init(|| values))
    }

    /// The file's name without its folder.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// What is wrong with this file.
    pub(crate) fn malformed(&self, problem: impl Into<String>) -> DataError {
        DataError::malformed(&self.path, problem)
    }

    /// Reads a row, and gives its values.
    pub(crate) fn with_row<T>(
        &self,
        row: usize,
        use_values: impl FnOnce(&[f64]) -> T,
    ) -> Result<T, DataError> {
        assert!(row < self.layout.rows, "row {row} of {}", self.layout.rows);
        // A buffer holds nothing that outlives a call, so that of a thread that panicked is as good as any.
        let mut buffer = self.row.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (bytes, values) = &mut *buffer;
        bytes.resize(self.layout.row_bytes(), 0);
        self.read_at(row, bytes)?;
        self.layout.element.decode(bytes, values);
        self.check_values(row, values)?;
        Ok(use_values(values))
    }

    /// Reads all rows in order, checks that their values are finite, and gives the SHA-256 of type, shape and values.
    pub(crate) fn scan(
        &self,
        mut visit: impl FnMut(usize, &[f64]) -> Result<(), DataError>,
    ) -> Result<[u8; 32], DataError> {
        let mut values = Vec::new();
        self.scan_pieces(|first, piece| {
            self.layout.element.decode(piece, &mut values);
            for (row, values) in (first..).zip(values.chunks_exact(self.layout.width)) {
                self.check_values(row, values)?;
                visit(row, values)?;
            }
            Ok(())
        })
    }

    /// Reads all texts in order, one a row, and gives the SHA-256 of type, shape and texts.
    pub(crate) fn scan_texts(&self, mut visit: impl FnMut(String)) -> Result<[u8; 32], DataError> {
        if self.layout.width != 1 {
            let width = self.layout.width;
            return Err(self.malformed(format!("has {width} texts a row, but a class is one")));
        }
        self.scan_pieces(|first, piece| {
            for (row, bytes) in (first..).zip(piece.chunks_exact(self.layout.row_bytes())) {
                let text = self.layout.element.text(bytes);
                visit(text.ok_or_else(|| {
                    self.malformed(format!("row {row} is no text: save it with astype(str)"))
                })?);
            }
            Ok(())
        })
    }

    /// Reads whole rows, a piece at a time with the number of its first, and gives the SHA-256 of type, shape and
    /// values.
    fn scan_pieces(
        &self,
        mut visit: impl FnMut(usize, &[u8]) -> Result<(), DataError>,
    ) -> Result<[u8; 32], DataError> {
        let layout = &self.layout;
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {:?}\n", layout.element, layout.shape));
        let rows_at_once = (PIECE / layout.row_bytes()).clamp(1, layout.rows);
        let mut bytes = vec![0; rows_at_once * layout.row_bytes()];
        for first in (0..layout.rows).step_by(rows_at_once) {
            let rows = rows_at_once.min(layout.rows - first);
            let piece = &mut bytes[..rows * layout.row_bytes()];
            self.read_at(first, piece)?;
            hash.update(&*piece);
            visit(first, piece)?;
        }
        Ok(hash.finalize().into())
    }

    fn read_at(&self, row: usize, bytes: &mut [u8]) -> Result<(), DataError> {
        let values = self.values()?;
        let place = values.start + row as u64 * self.layout.row_bytes() as u64;
        values.file.read_exact_at(bytes, place).map_err(|source| DataError::io(&self.path, source))
    }

    fn check_values(&self, row: usize, values: &[f64]) -> Result<(), DataError> {
        match values.iter().find(|value| value.abs().is_nan() || value.abs() > f64::from(f32::MAX)) {
            None => Ok(()),
            Some(value) => Err(self.malformed(format!(
                "row {row} holds {value}, but only finite numbers of float32's range can be learnt from: replace it, or leave \
                 the row out of every file of this split"
            ))),
        }
    }
}

/// Finds an array in a file of this kind and length; in an archive, also which of its members it is.
fn locate(
    ending: &str,
    mut file: impl Read + Seek,
    length: u64,
    name: &str,
) -> Result<(Layout, Option<usize>), String> {
    match ending {
        "npz" => npz::read_layout(file, name).map(|(layout, member)| (layout, Some(member))),
        "safetensors" => Ok((safetensors_file::read_layout(&mut file, length, name)?, None)),
        _ => {
            let layout = npy::read_layout(&mut file)?;
            layout.check_length(length)?;
            Ok((layout, None))
        }
    }
}

/// Finds an array in the content of a file (`ending` is `npy`, `npz` or `safetensors`) and gives its shape.
///
/// # Errors
///
/// If it is not found, or is not one of numbers: what is wrong with the file, as words that follow its name.
pub fn parse_array(ending: &str, content: &[u8], name: &str) -> Result<Vec<usize>, String> {
    let content = std::io::Cursor::new(content);
    let length = content.get_ref().len() as u64;
    let (layout, member) = locate(ending, content.clone(), length, name)?;
    if let Some(member) = member {
        npz::unpack(content, member, &layout)?;
    }
    Ok(layout.shape)
}

/// `NAME.train` or `NAME.test`: the file's name but for its ending.
pub(crate) fn stem(name: &str, part: Part) -> String {
    format!("{name}.{}", part.word())
}

/// Whether a folder has a file of a part of an array.
pub(crate) fn is_there(folder: &Path, name: &str, part: Part) -> bool {
    ENDINGS.iter().any(|ending| folder.join(format!("{}.{ending}", stem(name, part))).exists())
}

/// The one file of a part of an array.
fn find(folder: &Path, name: &str, part: Part) -> Result<PathBuf, DataError> {
    if !folder.is_dir() {
        return Err(DataError::missing(folder, "give the folder of the arrays with --data DIR or data.path"));
    }
    let stem = stem(name, part);
    let path = |ending: &str| folder.join(format!("{stem}.{ending}"));
    let mut there = ENDINGS.iter().map(|ending| path(ending)).filter(|path| path.exists());
    match (there.next(), there.next()) {
        (Some(path), None) => Ok(path),
        (Some(first), Some(second)) => {
            let second = second.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(DataError::malformed(&first, format!("and {second} are both there: remove one of them")))
        }
        _ => {
            let other = resembling(folder, &stem).map(|other| format!("; {other} is read by nobody"));
            let other = other.unwrap_or_default();
            Err(DataError::missing(
                &path("npy"),
                format!("save the array of \"{name}\" there (or as {stem}.npz or {stem}.safetensors){other}"),
            ))
        }
    }
}

/// A file that may well be meant, but has another ending or spelling.
fn resembling(folder: &Path, stem: &str) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-', ' '], ".");
    let names = folder.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<String> = names.filter(|name| plain(name).starts_with(&plain(stem))).collect();
    found.sort_unstable();
    found.into_iter().find(|name| !name.chars().any(char::is_control))
}
