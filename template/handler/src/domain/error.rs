//! Why there is no quote, as the caller sees it.

/// The errors by precedence. Their messages never hold item contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The payload is not a valid request; says where, and what is allowed.
    #[error("{0}")]
    InvalidRequest(String),
    /// A read failed or did not come in time: worth another try.
    #[error("the {0} could not be read")]
    Unavailable(&'static str),
    /// The table has no pricing item.
    #[error("the pricing configuration is missing")]
    ConfigMissing,
    /// There is no such customer.
    #[error("no such customer: {0}")]
    CustomerNotFound(String),
    /// Some products do not exist; names all of them.
    #[error("no such product: {}", .0.join(", "))]
    ProductNotFound(Vec<String>),
    /// Data that the function cannot work with.
    #[error("{0}")]
    Internal(&'static str),
}

impl Error {
    /// The name that callers tell errors apart by, and the status over HTTP.
    pub fn kind(&self) -> (&'static str, u16) {
        match self {
            Error::InvalidRequest(_) => ("InvalidRequest", 400),
            Error::Unavailable(_) => ("Unavailable", 503),
            Error::ConfigMissing => ("ConfigMissing", 500),
            Error::CustomerNotFound(_) => ("CustomerNotFound", 404),
            Error::ProductNotFound(_) => ("ProductNotFound", 404),
            Error::Internal(_) => ("Internal", 500),
        }
    }
}
