//! What holds for any function of this workspace: [`function`] asks it the sample request, and
//! [`loader`] has what only a real database shows of the loaders.

mod function;
mod loader;
