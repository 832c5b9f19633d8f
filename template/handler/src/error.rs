//! Why there is no quote, as the caller sees it.

use lambda_runtime::Diagnostic;

/// The errors by precedence. Their messages never hold item contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
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

impl QuoteError {
    /// The name that callers tell errors apart by.
    pub fn error_type(&self) -> &'static str {
        match self {
            QuoteError::InvalidRequest(_) => "InvalidRequest",
            QuoteError::Unavailable(_) => "Unavailable",
            QuoteError::ConfigMissing => "ConfigMissing",
            QuoteError::CustomerNotFound(_) => "CustomerNotFound",
            QuoteError::ProductNotFound(_) => "ProductNotFound",
            QuoteError::Internal(_) => "Internal",
        }
    }
}

/// What Lambda shows as `errorType` and `errorMessage`.
impl From<QuoteError> for Diagnostic {
    fn from(error: QuoteError) -> Self {
        Diagnostic {
            error_type: error.error_type().to_string(),
            error_message: error.to_string(),
        }
    }
}
