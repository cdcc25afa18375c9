"""What comes after a visit: feedback, complaints, sanctions, and how far a volunteer can be relied on."""
