"""A dataset to look at: every scenario on a contact sheet, and what was drawn in each split."""
