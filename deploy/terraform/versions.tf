terraform {
  required_version = ">= 1.9" # from which on the check of a variable may read another one

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.20, < 8.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region

  # Whoever applies with a login of their own asks in the name of this project; budgets are refused otherwise.
  user_project_override = true
  billing_project       = var.project
}
