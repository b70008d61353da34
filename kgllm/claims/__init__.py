"""Claims: what a sentence that somebody else wrote says, as statements about what it names."""
