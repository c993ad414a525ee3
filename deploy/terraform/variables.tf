variable "project" {
  description = "Project of Google Cloud that pays for all of this; it must exist."
  type        = string
}

variable "region" {
  description = "Where everything lies: near those who ask."
  type        = string
  default     = "us-central1"
}

variable "name" {
  description = "What the resources' names begin with."
  type        = string
  default     = "portfolio"
}

variable "tag" {
  description = "Tag of the images to run, such as a commit. Without one there is what images and models are pushed to, and no service."
  type        = string
  default     = null

  validation {
    condition     = var.tag != "latest"
    error_message = "Name a commit: what latest is changes without an apply, and a way back needs a name."
  }
}

variable "models" {
  description = "Version of each service's model: the folder SERVICE/VERSION of the bucket of models."
  type        = map(string)
  default = {
    housing          = "1"
    image-classifier = "1"
    recommender      = "1"
  }
}

variable "memory" {
  description = "Memory of an instance of each service, as compose has it."
  type        = map(string)
  default = {
    housing          = "512Mi"
    image-classifier = "1Gi"
    recommender      = "512Mi"
  }
}

variable "max_instances" {
  description = "Most instances of a service, which bounds what a day can cost."
  type        = number
  default     = 2
}

variable "public" {
  description = "Whether anybody may ask, with a key; otherwise those alone whom var.callers names."
  type        = bool
  default     = false
}

variable "callers" {
  description = "Who may ask while it is not public, such as user:ann@example.com."
  type        = set(string)
  default     = []
}

variable "api_keys" {
  description = "NAME:SHA256 with commas, as `docker compose run --rm --no-deps housing key NAME` makes them: hashes, no secrets."
  type        = string
  default     = ""

  validation {
    condition     = !var.public || var.api_keys != ""
    error_message = "What anybody may reach needs keys: set api_keys, or public = false."
  }
}

variable "prediction_log" {
  description = "Address of a PostgreSQL for predictions and feedback, or off: an instance's own file would end with it."
  type        = string
  default     = "off"
  sensitive   = true

  validation {
    condition     = var.prediction_log == "off" || startswith(var.prediction_log, "postgresql://")
    error_message = "Expected off or postgresql://USER:PASSWORD@HOST/DATABASE."
  }
}

variable "billing_account" {
  description = "Account whose owners get an email at half and at all of var.monthly_budget; without one nobody does."
  type        = string
  default     = null
}

variable "monthly_budget" {
  description = "Dollars a month at which that email is sent. Nothing is turned off."
  type        = number
  default     = 20
}

variable "protected" {
  description = "Whether a destroy stops at services and at buckets that hold something."
  type        = bool
  default     = true
}
