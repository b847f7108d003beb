//! Constants in the width of the place they go to.

/// A constant as another type of integer. One that does not fit is no program: this is known when it is compiled.
#[macro_export]
macro_rules! narrow {
    ($value:expr => $to:ty) => {
        const {
            let wide = $value as i128;
            assert!(wide >= <$to>::MIN as i128 && wide <= <$to>::MAX as i128);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it fits")]
            let narrow = wide as $to;
            narrow
        }
    };
}
