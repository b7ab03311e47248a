//! The Bzzz node.
