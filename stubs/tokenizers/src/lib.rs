//! Stands in for the crate `tokenizers`, which cuts text for language models.
//!
//! candle-core 0.10 and 0.11 ask for it whatever their features, to read tokenizers out of GGUF files. No network here
//! reads text, and the real crate with its regular expressions took 80 processor seconds of the first build. These are
//! the names that candle-core's `quantized/tokenizer.rs` uses; `[patch.crates-io]` in the workspace's manifest puts
//! them in place. No tokenizer can be made of them: [`models::bpe::BpeBuilder::build`] fails and says so, and what
//! would come after has no values.

use std::fmt;

/// What every part here answers when it is to be made.
#[derive(Debug)]
pub struct LeftOut;

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("this program was built without tokenizers: no network here reads text")
    }
}

impl std::error::Error for LeftOut {}

/// A value that cannot be.
#[derive(Clone, Copy, Debug)]
enum Never {}

pub use tokenizer::{AddedToken, Tokenizer};

/// The tokenizer itself.
pub mod tokenizer {
    use crate::{
        LeftOut, Never, decoders::DecoderWrapper, models::bpe::Bpe, normalizers::NormalizerWrapper,
        pre_tokenizers::PreTokenizerWrapper, processors::PostProcessorWrapper,
    };

    /// Made of a model, of which there is none.
    #[derive(Clone, Debug)]
    pub struct Tokenizer(Never);

    impl Tokenizer {
        /// Takes a model.
        pub fn new(model: Bpe) -> Self {
            match model.0 {}
        }

        /// Never called, since there is no tokenizer.
        pub fn with_normalizer(&mut self, _: Option<NormalizerWrapper>) -> Result<&mut Self, LeftOut> {
            match self.0 {}
        }

        /// Never called, since there is no tokenizer.
        pub fn with_pre_tokenizer(&mut self, _: Option<PreTokenizerWrapper>) -> &mut Self {
            match self.0 {}
        }

        /// Never called, since there is no tokenizer.
        pub fn with_decoder(&mut self, _: Option<DecoderWrapper>) -> &mut Self {
            match self.0 {}
        }

        /// Never called, since there is no tokenizer.
        pub fn with_post_processor(&mut self, _: Option<PostProcessorWrapper>) -> &mut Self {
            match self.0 {}
        }

        /// Never called, since there is no tokenizer.
        pub fn add_special_tokens(&mut self, _: Vec<AddedToken>) -> Result<usize, LeftOut> {
            match self.0 {}
        }
    }

    /// A token with a meaning of its own.
    #[derive(Clone, Debug)]
    pub struct AddedToken;

    impl AddedToken {
        /// A token of a word.
        pub fn from(_: String, _special: bool) -> Self {
            AddedToken
        }
    }

    /// What becomes of what a text is split at.
    #[derive(Clone, Copy, Debug)]
    pub enum SplitDelimiterBehavior {
        /// It becomes a piece of its own.
        Isolated,
    }
}

/// Models: what maps pieces of text to numbers.
pub mod models {
    /// Byte pair encoding.
    pub mod bpe {
        use std::collections::HashMap;

        use crate::{LeftOut, Never};

        /// Numbers of pieces.
        pub type Vocab = HashMap<String, u32>;

        /// The model, of which there is none.
        #[derive(Clone, Debug)]
        pub struct Bpe(pub(crate) Never);

        pub use Bpe as BPE;

        impl Bpe {
            /// Begins to describe one.
            pub fn builder() -> BpeBuilder {
                BpeBuilder
            }
        }

        /// Describes a model, in vain.
        #[derive(Debug)]
        pub struct BpeBuilder;

        impl BpeBuilder {
            /// Takes the pieces, and which of them join.
            pub fn vocab_and_merges(self, _: Vocab, _: Vec<(String, String)>) -> Self {
                self
            }

            /// Takes the piece that stands for what is unknown.
            pub fn unk_token(self, _: String) -> Self {
                self
            }

            /// Takes whether single bytes stand for what is unknown.
            pub fn byte_fallback(self, _: bool) -> Self {
                self
            }

            /// Takes whether whole words go before joined pieces.
            pub fn ignore_merges(self, _: bool) -> Self {
                self
            }

            /// Always fails.
            pub fn build(self) -> Result<Bpe, LeftOut> {
                Err(LeftOut)
            }
        }
    }
}

/// What changes a text first.
pub mod normalizers {
    /// Normal forms of Unicode.
    pub mod unicode {
        /// Composed characters.
        #[derive(Clone, Debug)]
        pub struct NFC;
    }

    /// Any of them.
    #[derive(Clone, Debug)]
    pub struct NormalizerWrapper;

    impl From<unicode::NFC> for NormalizerWrapper {
        fn from(_: unicode::NFC) -> Self {
            NormalizerWrapper
        }
    }
}

/// What splits a text before the model sees it.
pub mod pre_tokenizers {
    /// Bytes in the place of characters.
    pub mod byte_level {
        /// The same type before, in and after the model.
        #[derive(Clone, Debug, Default)]
        pub struct ByteLevel;

        impl ByteLevel {
            /// With its three switches.
            pub fn new(_prefix_space: bool, _trim_offsets: bool, _regex: bool) -> Self {
                ByteLevel
            }
        }
    }

    /// One after the other.
    pub mod sequence {
        use super::PreTokenizerWrapper;

        /// Several in a row.
        #[derive(Clone, Debug)]
        pub struct Sequence;

        impl Sequence {
            /// In the order given.
            pub fn new(_: Vec<PreTokenizerWrapper>) -> Self {
                Sequence
            }
        }
    }

    /// Splitting at a pattern.
    pub mod split {
        use crate::{LeftOut, tokenizer::SplitDelimiterBehavior};

        /// What to split at.
        #[derive(Clone, Debug)]
        pub enum SplitPattern {
            /// A regular expression.
            Regex(String),
        }

        /// What splits.
        #[derive(Clone, Debug)]
        pub struct Split;

        impl Split {
            /// Always fails: there are no regular expressions here.
            pub fn new(_: SplitPattern, _: SplitDelimiterBehavior, _invert: bool) -> Result<Self, LeftOut> {
                Err(LeftOut)
            }
        }
    }

    /// Any of them.
    #[derive(Clone, Debug)]
    pub struct PreTokenizerWrapper;

    impl From<byte_level::ByteLevel> for PreTokenizerWrapper {
        fn from(_: byte_level::ByteLevel) -> Self {
            PreTokenizerWrapper
        }
    }

    impl From<sequence::Sequence> for PreTokenizerWrapper {
        fn from(_: sequence::Sequence) -> Self {
            PreTokenizerWrapper
        }
    }

    impl From<split::Split> for PreTokenizerWrapper {
        fn from(_: split::Split) -> Self {
            PreTokenizerWrapper
        }
    }
}

/// What makes text of numbers again.
pub mod decoders {
    pub use crate::pre_tokenizers::byte_level;

    /// Any of them.
    #[derive(Clone, Debug)]
    pub struct DecoderWrapper;

    impl From<byte_level::ByteLevel> for DecoderWrapper {
        fn from(_: byte_level::ByteLevel) -> Self {
            DecoderWrapper
        }
    }
}

/// What is added around a text.
pub mod processors {
    pub use crate::pre_tokenizers::byte_level;

    /// Fixed patterns.
    pub mod template {
        use crate::LeftOut;

        /// A pattern.
        #[derive(Clone, Debug)]
        pub struct TemplateProcessing;

        impl TemplateProcessing {
            /// Begins to describe one.
            pub fn builder() -> TemplateProcessingBuilder {
                TemplateProcessingBuilder
            }
        }

        /// Describes a pattern, in vain.
        #[derive(Debug)]
        pub struct TemplateProcessingBuilder;

        impl TemplateProcessingBuilder {
            /// Takes the pattern of one text.
            pub fn try_single(self, _: Vec<String>) -> Result<Self, LeftOut> {
                Ok(self)
            }

            /// Takes the pattern of two.
            pub fn try_pair(self, _: Vec<String>) -> Result<Self, LeftOut> {
                Ok(self)
            }

            /// Takes the pieces of the pattern.
            pub fn special_tokens(self, _: Vec<(String, u32)>) -> Self {
                self
            }

            /// Always fails.
            pub fn build(self) -> Result<TemplateProcessing, LeftOut> {
                Err(LeftOut)
            }
        }
    }

    /// One after the other.
    pub mod sequence {
        use super::PostProcessorWrapper;

        /// Several in a row.
        #[derive(Clone, Debug)]
        pub struct Sequence;

        impl Sequence {
            /// In the order given.
            pub fn new(_: Vec<PostProcessorWrapper>) -> Self {
                Sequence
            }
        }
    }

    /// Any of them.
    #[derive(Clone, Debug)]
    pub enum PostProcessorWrapper {
        /// A fixed pattern.
        Template(template::TemplateProcessing),
        /// Anything else.
        Other,
    }

    impl From<byte_level::ByteLevel> for PostProcessorWrapper {
        fn from(_: byte_level::ByteLevel) -> Self {
            PostProcessorWrapper::Other
        }
    }

    impl From<sequence::Sequence> for PostProcessorWrapper {
        fn from(_: sequence::Sequence) -> Self {
            PostProcessorWrapper::Other
        }
    }
}
