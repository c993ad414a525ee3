# The three services on Cloud Run, the bucket that they read their models from, a bucket for a host's backups, and a
# registry of images. docs/infrastructure.md says why these, what they cost, and how to take them down.

locals {
  services = toset(["housing", "image-classifier", "recommender"])
  running  = var.tag == null ? toset([]) : local.services
  images   = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
  # How many secrets hold the address of the prediction log; that there is one is no secret.
  logs = nonsensitive(var.prediction_log != "off") ? 1 : 0
  # Who may ask what: each pair is one grant.
  callers = var.public ? toset(["allUsers"]) : var.callers
  grants  = { for pair in setproduct(local.running, local.callers) : join(" ", pair) => pair }
}

resource "google_project_service" "needed" {
  for_each = toset(concat(
    ["artifactregistry", "iam", "run", "secretmanager", "storage"],
    var.billing_account == null ? [] : ["billingbudgets"],
  ))
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # another may need it
}

resource "google_artifact_registry_repository" "images" {
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  depends_on    = [google_project_service.needed]

  # The newest stay, for the way back; of the others what is a month old goes.
  cleanup_policies {
    id     = "keep"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }
}

resource "google_storage_bucket" "these" {
  for_each                    = toset(["models", "backups"])
  name                        = "${var.project}-${var.name}-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protected
  depends_on                  = [google_project_service.needed]

  # What is overwritten or deleted by mistake can be had back for a month.
  versioning {
    enabled = true
  }
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }
}

# What the services are: an account that may read models, and nothing else.
resource "google_service_account" "services" {
  account_id   = "${var.name}-services"
  display_name = "Services of ${var.name}"
  depends_on   = [google_project_service.needed]
}

resource "google_storage_bucket_iam_member" "services_read_models" {
  bucket = google_storage_bucket.these["models"].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.services.member
}

# The address of the prediction log holds a password: it is no setting that whoever sees a service can read.
resource "google_secret_manager_secret" "log" {
  count      = local.logs
  secret_id  = "${var.name}-prediction-log"
  depends_on = [google_project_service.needed]

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "log" {
  count       = local.logs
  secret      = google_secret_manager_secret.log[0].id
  secret_data = var.prediction_log
}

resource "google_secret_manager_secret_iam_member" "services_read_log" {
  count     = local.logs
  secret_id = google_secret_manager_secret.log[0].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.services.member
}

resource "google_cloud_run_v2_service" "service" {
  for_each            = local.running
  name                = "${var.name}-${each.key}"
  location            = var.region
  deletion_protection = var.protected
  depends_on = [
    google_storage_bucket_iam_member.services_read_models,
    google_secret_manager_secret_iam_member.services_read_log,
  ]

  template {
    service_account       = google_service_account.services.email
    execution_environment = "EXECUTION_ENVIRONMENT_GEN2" # which a bucket can be mounted in

    scaling {
      min_instance_count = 0 # nobody asks, nothing is paid; the first to ask waits for a start
      max_instance_count = var.max_instances
    }

    containers {
      image = "${local.images}/${each.key}-service:${var.tag}"

      ports {
        container_port = 8000
      }
      resources {
        limits            = { cpu = "1", memory = var.memory[each.key] }
        cpu_idle          = true # paid while a request is answered
        startup_cpu_boost = true
      }
      dynamic "env" {
        for_each = {
          BUNDLE            = "/models/${each.key}/${var.models[each.key]}"
          API_KEYS          = var.api_keys
          OPEN_WITHOUT_KEYS = var.public ? "false" : "true" # then Google asks who is there
        }
        content {
          name  = "${upper(replace(each.key, "-", "_"))}_${env.key}"
          value = env.value
        }
      }
      env {
        name  = "PORTFOLIO_PREDICTION_LOG"
        value = local.logs == 0 ? "off" : null
        dynamic "value_source" {
          for_each = google_secret_manager_secret_version.log[*].version # another one is another revision
          content {
            secret_key_ref {
              secret  = google_secret_manager_secret.log[0].secret_id
              version = value_source.value
            }
          }
        }
      }
      volume_mounts {
        name       = "models"
        mount_path = "/models"
      }
      startup_probe {
        period_seconds    = 2
        failure_threshold = 60
        http_get {
          path = "/readyz"
          port = 8000
        }
      }
      liveness_probe {
        http_get {
          path = "/healthz"
          port = 8000
        }
      }
    }

    volumes {
      name = "models"
      gcs {
        bucket    = google_storage_bucket.these["models"].name
        read_only = true
      }
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "callers" {
  for_each = local.grants
  name     = google_cloud_run_v2_service.service[each.value[0]].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value[1]
}

resource "google_billing_budget" "month" {
  count           = var.billing_account == null ? 0 : 1
  billing_account = var.billing_account
  display_name    = "${var.name}, a month"
  depends_on      = [google_project_service.needed]

  budget_filter {
    projects = ["projects/${var.project}"]
  }
  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(var.monthly_budget)
    }
  }
  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 1
  }
}
