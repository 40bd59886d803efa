//! Tables of comments: reading, writing, gold codes, splits and duplicates (DESIGN section 3).
