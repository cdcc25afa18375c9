"""An auditor's questions to the journal and the visits, and the sample drawn for asking the elders."""
