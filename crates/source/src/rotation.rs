//! Which names belong to one log, and in which order they were written.
